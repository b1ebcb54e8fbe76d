// Package bpf is the kernel side: it loads the probes' programs with the constants of one binary, attaches them to one
// process, and reads the one ring buffer that they all write to.
package bpf

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -go-package bpf -type points -type go_map_layout -type span_head -type absent_page -type event_kind -type text_address -type text_form -type span_key -type context_key -type context_limits -type value_limits -type known_values -type known_value -type value_path -type steer_text -type steer_state -type piece_form -type write_step -type operation_state -type goroutine_limits -type loss -type branch -type place -type panic_kind -type sampler_root shared shared.bpf.c -- -I./include -I/usr/include/x86_64-linux-gnu -O2 -Wall -Werror -mcpu=v2
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -go-package bpf ending ending.bpf.c -- -I./include -I/usr/include/x86_64-linux-gnu -O2 -Wall -Werror -mcpu=v2
