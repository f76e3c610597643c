// Package web is the viewer: the pages of all rooms joined to one http.Handler, and
// the same pages written into a folder.
//
// A [Viewer] looks at folders of runs and writes nothing into them. What can be done
// from its pages (an experiment's pause, human play) is there only where whoever
// made it handed it in ([Options.Control], [Options.Play]).
//
// [Viewer.Export] asks for the pages as a browser would, follows their links, and
// saves what is answered, so that an exported page cannot lead where nothing is.
package web
