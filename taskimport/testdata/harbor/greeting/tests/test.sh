#!/bin/bash
# Compares with what was expected; this secret is 5d1c0f.
if [ "$LANGUAGE" = english ] && [ "$WHO" = world ] && [ -z "$API_KEY" ] && [ "$(cat /app/greeting.txt)" = "$(cat /tests/expected.txt)" ]; then
  echo 1 > /logs/verifier/reward.txt
else
  echo 0 > /logs/verifier/reward.txt
fi
exit 7
