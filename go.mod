module mlgym

go 1.26
