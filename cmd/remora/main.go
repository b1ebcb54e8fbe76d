// Command remora traces running Go programs without touching their code.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// version is set at build time by -ldflags -X.
var version = "devel"

func main() {
	if len(os.Args) > 1 && os.Args[1] == startCommand {
		os.Exit(start(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == witnessCommand {
		testify()
		return
	}
	err := root().ExecuteContext(context.Background())
	var exit exitCode
	switch {
	case errors.As(err, &exit):
		os.Exit(int(exit))
	case err != nil:
		fmt.Fprintln(os.Stderr, "remora:", err)
		os.Exit(1)
	}
}

// exitCode ends the program with a code and no message: what there is to say has been said.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func root() *cobra.Command {
	agent := agentCommand()
	cmd := &cobra.Command{
		Use:   "remora",
		Short: "OpenTelemetry traces of running Go programs, without touching their code",
		Long: `Remora attaches to running Go programs and exports OpenTelemetry traces of what they do.
Without a subcommand it is "remora agent".

  remora run -- ./server                    start a program and watch its traces
  remora agent --exe /usr/bin/server        trace a program, now and whenever it is restarted
  remora inspect ./server                   what would be traced in it, and what not and why
  remora doctor                             what this machine allows`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          agent.RunE,
	}
	cmd.Flags().AddFlagSet(agent.Flags())
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.AddCommand(agent, runCommand(), inspectCommand(), doctorCommand(), versionCommand())
	return cmd
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), "remora", version) },
	}
}
