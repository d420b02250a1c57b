/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vm/vm_note.h"
#include "lib/string.h"

#define MARK \
	"note: " /* at the start of a line, or behind the name of who prints it: "init: note: ..." */

static void cut_word(char *text)
{
	size_t len = strlen(text);

	while (len && text[len - 1] != ' ')
		len--;
	if (len)
		text[len - 1] = 0;
}

static void end_line(struct vm_note *note)
{
	const size_t mark = sizeof(MARK) - 1;
	const char *text = note->line, *colon;

	note->line[note->len] = 0;
	note->len = 0;
	if (strncmp(text, MARK, mark) && (colon = strchr(text, ':')) && colon[1] == ' ')
		text = colon + 2;
	if (!strncmp(text, MARK, mark) &&
	    str_copy(note->text, text + mark, sizeof(note->text)) >= sizeof(note->text))
		cut_word(note->text);
}

/* No byte of it may do anything to a terminal. */
void vm_note_take(struct vm_note *note, const u8 *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] == '\n')
			end_line(note);
		else if (data[i] >= ' ' && data[i] < 0x7f && note->len < sizeof(note->line) - 1)
			note->line[note->len++] = (char)data[i];
	}
}
