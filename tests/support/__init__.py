"""What the black-box tests share: a server process, plain HTTP calls, waiting with a deadline."""
