module httpserver

go 1.18
