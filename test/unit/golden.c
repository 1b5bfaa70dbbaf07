/*
 * golden.c - make golden GOLDEN=<folder>: checks every file of a folder.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static int
is_golden(const struct dirent *entry)
{
	size_t		length = strlen(entry->d_name);

	return length > 4 && strcmp(entry->d_name + length - 4, ".txt") == 0;
}

int
main(int argc, char **argv)
{
	struct dirent **entries;
	int			n = argc == 2 ? scandir(argv[1], &entries, is_golden, alphasort) : -1;

	mml_init();
	if (n < 1)
	{
		fprintf(stderr, "usage: golden <folder with .txt files>\n");
		return 2;
	}
	for (int i = 0; i < n; i++)
	{
		char		path[4096];

		snprintf(path, sizeof(path), "%s/%s", argv[1], entries[i]->d_name);
		if (golden_check_file(path))
			printf("checked %s\n", path);
		free(entries[i]);
	}
	free(entries);
	return unit_done();
}
