//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// No program: the maps and types that all probes share, for bpf2go to make Go of.

#include "context.h"
#include "gomap.h"
#include "inject.h"
#include "operation.h"
#include "panic.h"
#include "point.h"
#include "postponed.h"
#include "steer.h"
#include "text.h"
#include "trace.h"
#include "values.h"

const struct points *unused_points __attribute__((unused));
const struct go_map_layout *unused_go_map_layout __attribute__((unused));
const struct sampling *unused_sampling __attribute__((unused));
const struct absent_page *unused_absent_page __attribute__((unused));
const enum event_kind *unused_event_kind __attribute__((unused));
const struct text_address *unused_text_address __attribute__((unused));
const enum text_form *unused_text_form __attribute__((unused));
const struct span_head *unused_span_head __attribute__((unused));
const struct context_types *unused_context_types __attribute__((unused));
const enum context_limits *unused_context_limits __attribute__((unused));
const struct known_values *unused_known_values __attribute__((unused));
const struct known_value *unused_known_value __attribute__((unused));
const struct value_path *unused_value_path __attribute__((unused));
const enum value_limits *unused_value_limits __attribute__((unused));
const struct context_key *unused_context_key __attribute__((unused));
const enum goroutine_limits *unused_goroutine_limits __attribute__((unused));
const struct span_key *unused_span_key __attribute__((unused));
const enum operation_state *unused_operation_state __attribute__((unused));
const struct steer_pieces *unused_steer_pieces __attribute__((unused));
const struct steering *unused_steering __attribute__((unused));
const enum steer_text *unused_steer_text __attribute__((unused));
const enum piece_form *unused_piece_form __attribute__((unused));
const enum steer_state *unused_steer_state __attribute__((unused));
const enum write_step *unused_write_step __attribute__((unused));
const enum loss *unused_loss __attribute__((unused));
const enum branch *unused_branch __attribute__((unused));
const enum place *unused_place __attribute__((unused));
const enum panic_kind *unused_panic_kind __attribute__((unused));
const enum sampler_root *unused_sampler_root __attribute__((unused));

char LICENSE[] SEC("license") = "Dual BSD/GPL";
