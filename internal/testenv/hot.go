package testenv

// The calls that profiles of busy programs have, for BuildSpec.Hot: those that probes see in programs without a profile.

// HotServer are those of an HTTP server, from Go 1.minor: it calls its handler.
func HotServer(minor int) string {
	callers := []string{"net/http.(*conn).serve", "net/http.initALPNRequest.ServeHTTP"}
	if minor >= 24 {
		callers = append(callers, "net/http.unencryptedHTTP2Request.ServeHTTP")
	}
	hot := ""
	for _, caller := range callers {
		hot += caller + " net/http.serverHandler.ServeHTTP\n"
	}
	if minor >= 27 {
		hot += "net/http.http2Handler.ServeHTTP ~net/http.serverHandler.ServeHTTP\n"
	}
	return hot
}

// HotGRPCClient are those of a client of gRPC: its streams begin and end.
func HotGRPCClient() string {
	const stream = "google.golang.org/grpc.(*clientStream)."
	hot := "google.golang.org/grpc.newClientStreamWithParams " + stream + "withRetry\n"
	for _, caller := range []string{"RecvMsg", "Header", "withRetry"} {
		hot += stream + caller + " " + stream + "finish\n"
	}
	return hot
}

// HotSQL are those of a program that asks databases in every way.
func HotSQL() string {
	hot := ""
	for _, method := range []string{
		"DB).QueryContext", "DB).ExecContext", "DB).PrepareContext", "DB).BeginTx", "DB).retry", "Conn).QueryContext", "Conn).PingContext", "Conn).BeginTx",
		"Tx).QueryContext", "Tx).ExecContext", "Tx).PrepareContext", "Tx).Commit", "Tx).rollback",
	} {
		hot += "* database/sql.(*" + method + "\n"
	}
	return hot
}
