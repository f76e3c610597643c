"""No work: nothing is handed in."""

print("nothing was done")
