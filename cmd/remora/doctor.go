package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/doctor"
)

func doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Show what this machine allows, what follows from it, and the remedies",
		Long:  "Show what this machine allows, what follows from it, and the remedies. The exit code is 1 where nothing can be traced.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			checks := doctor.Run(bpf.Probe())
			if err := writeChecks(cmd.OutOrStdout(), checks, asJSON); err != nil {
				return err
			}
			if !doctor.Healthy(checks) {
				return exitCode(1)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func writeChecks(w io.Writer, checks []doctor.Check, asJSON bool) error {
	if !asJSON {
		return doctor.WriteText(w, checks, color(os.Stdout))
	}
	out, err := json.MarshalIndent(checks, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", out)
	return err
}
