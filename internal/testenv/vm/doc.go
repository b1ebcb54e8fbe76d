// Package vm runs programs as root under other Linux kernels, in a virtual machine that QEMU emulates (TCG: no KVM is needed,
// all architectures work everywhere). The guest's root is this machine's, shared by virtiofs: a program that is built here runs
// there under the same path, and what it writes to files stays. Its temporary directory is its own.
//
// It needs root, QEMU, virtiofsd, apt-get, dpkg-deb and xz; the error of Fetch and Run says what is missing.
package vm
