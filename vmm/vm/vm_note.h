/* SPDX-License-Identifier: BSD-2-Clause */
/* The note of a guest: the last line that it has sent to its console behind "note: ", for the summary. */
#ifndef VMM_VM_VM_NOTE_H
#define VMM_VM_VM_NOTE_H

#include "lib/types.h"

#define VM_NOTE_LEN \
	67 /* with the NUL; what is longer is cut, before a word that would be: it may be a number */

/* Zeroed before use. */
struct vm_note {
	char text[VM_NOTE_LEN]; /* printable ASCII; empty: none */
	char line[VM_NOTE_LEN + 32];
	unsigned int len; /* of the line that is being sent, or what of it fits */
};

/* The guest has sent @len bytes, any bytes. */
void vm_note_take(struct vm_note *note, const u8 *data, size_t len);

#endif
