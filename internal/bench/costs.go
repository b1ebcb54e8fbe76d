package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
)

const costRuns = 21

// costs measures what the functions of the kernel cost that a span is made of, in nanoseconds, by enum cost of costs.bpf.c.
func costs() (costs [costsCostCOST_COUNT]float64, err error) {
	var objects costsObjects
	if err := loadCostsObjects(&objects, nil); err != nil {
		return costs, fmt.Errorf("load the programs that measure the kernel's functions: %w", err)
	}
	defer objects.Close()
	memory := make([]byte, os.Getpagesize())
	for i := range memory {
		memory[i] = 1 // a page that is there
	}
	if err := objects.CostAddress.Set(uint64(uintptr(unsafe.Pointer(&memory[0])))); err != nil {
		return costs, err
	}
	var all [costsCostCOST_COUNT][]float64
	for range costRuns {
		if _, err := objects.MeasureCosts.Run(&ebpf.RunOptions{}); err != nil {
			return costs, fmt.Errorf("run the program that measures the kernel's functions: %w", err)
		}
		var took [costsCostCOST_COUNT]uint64
		if err := objects.CostTook.Get(&took); err != nil {
			return costs, err
		}
		for i, ns := range took {
			all[i] = append(all[i], float64(ns)/1000)
		}
	}
	runtime.KeepAlive(memory)
	nothing := median(all[costsCostCOST_NOTHING])
	for i := range costs {
		costs[i] = median(all[i]) - nothing
	}
	return costs, nil
}

// costsMarkdown is a table of them.
func costsMarkdown(costs [costsCostCOST_COUNT]float64) string {
	rows := []struct {
		of   costsCost
		what string
	}{
		{costsCostCOST_READ_WORD, "read 8 bytes of the target"},
		{costsCostCOST_READ_ENTRY, "read 300 bytes of the target"},
		{costsCostCOST_LOOKUP, "find an entry of a hash map"},
		{costsCostCOST_MISS, "find none"},
		{costsCostCOST_CHANGE, "add an entry and remove it"},
		{costsCostCOST_ARRAY, "find an entry of an array"},
		{costsCostCOST_TIME, "the time"},
		{costsCostCOST_RANDOM, "4 random bytes"},
		{costsCostCOST_SEND, "send 300 bytes through the ring buffer"},
		{costsCostCOST_CALL, "call a function of its own"},
		{costsCostCOST_SMALLEST, "call one of the kernel that does next to nothing"},
	}
	var s strings.Builder
	s.WriteString("\nWhat a BPF program pays for the kernel's functions here, warm:\n\n| | ns |\n|---|--:|\n")
	for _, row := range rows {
		fmt.Fprintf(&s, "| %s | %.0f |\n", row.what, costs[row.of])
	}
	return s.String()
}
