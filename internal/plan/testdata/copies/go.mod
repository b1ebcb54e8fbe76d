module copies

go 1.23
