// Package webtest makes runs that try the viewer: ordinary ones, hostile ones, long
// ones, damaged ones, and many. All are written by the same rooms that write real runs.
package webtest
