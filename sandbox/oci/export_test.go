package oci

// ContainerName is containerName for tests outside the package.
var ContainerName = containerName
