package main

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/remora-agent/remora/internal/inspect"
	"github.com/remora-agent/remora/probes/all"
	"github.com/remora-agent/remora/process"
)

func inspectCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect FILE|PID",
		Short: "Show what would be traced in a program, what not, and why",
		Long:  "Show what would be traced in a program, where each probe goes and what it costs, what cannot be traced and why. A number is a process ID.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := args[0]
			if pid, err := strconv.Atoi(path); err == nil {
				fs := process.NewFS("/proc")
				if _, err := fs.Process(pid); err != nil {
					return fmt.Errorf("cannot inspect process %d: %w", pid, err)
				}
				path = fs.ExePath(pid)
			}
			b, err := process.Open(path)
			if err != nil {
				return err
			}
			defer b.Close()
			report := inspect.Binary(b, all.Probes())
			if !asJSON {
				return report.WriteText(cmd.OutOrStdout())
			}
			out, err := json.MarshalIndent(report, "", "  ")
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", out)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
