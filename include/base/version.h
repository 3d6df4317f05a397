#ifndef BASE_VERSION_H
#define BASE_VERSION_H

/* The version of all four programs; debian/changelog and the man pages say the same. */
#define DIND_VERSION "0.1.0"

#endif
