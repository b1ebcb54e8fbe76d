module example.com/libraries

go 1.18
