module httpclient

go 1.18
