#!/bin/bash
echo "$TEXT" > /app/greeting.txt
test -f /solution/solve.sh
