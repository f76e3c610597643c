// Package cli is the command line of mlgym: flags in, calls of the rooms, text
// or JSON out. Results go to standard output, everything else to standard
// error.
//
// Exit codes: 0 done; 1 failed; 2 the command line or a file that the user
// wrote is wrong, and the message names the fix.
package cli
