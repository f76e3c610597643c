#!/bin/bash
# The file outcome of the workspace decides, so that faults can be tried.
cd /srv/work
[ -f outcome ] && . ./outcome
