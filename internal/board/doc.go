// Package board shows a person how an experiment goes: as a picture that a
// terminal repaints in place, and as plain lines elsewhere.
//
// [Render] is a pure function from an [experiment.Status] to the lines of a
// picture. [Live] paints it on a terminal, [Lines] writes events as text that
// can be searched, [WriteJSON] as JSON. Names and messages come from agents,
// models and files of users: whatever steers a terminal is taken out of them.
package board
