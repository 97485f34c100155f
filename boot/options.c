/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looks words up on the command line. Pure. The first word is the image's own path under
 * some loaders; having no '=', it is never taken for an option.
 */
#include "boot/options.h"

#include "lib/string.h"

/*
 * Copies the value of the last word "key=value" into `value`; false, and `value` empty, when
 * there is none or it does not fit in `size` bytes.
 */
bool option_value(const char *command_line, const char *key, char *value, size_t size)
{
	size_t key_length = strlen(key);
	const char *word = command_line;
	bool found = false;

	value[0] = '\0';
	while (*word) {
		const char *space = strchr(word, ' ');
		size_t length = space ? (size_t)(space - word) : strlen(word);

		if (length > key_length && word[key_length] == '=' &&
		    strncmp(word, key, key_length) == 0) {
			size_t value_length = length - key_length - 1;

			found = value_length < size;
			memcpy(value, word + key_length + 1, found ? value_length : 0);
			value[found ? value_length : 0] = '\0';
		}
		word += length + (space ? 1 : 0);
	}
	return found;
}
