/*
 * stored_source.c - what a version was trained from, as moemlora.version.spec
 * has it.
 */
#include "postgres.h"

#include "options.h"

static const char *
TextOf(const JsonbValue *value)
{
	return value->type == jbvString ? OptionText(value) : NULL;
}

/* The split column among the options of a training. */
static const char *
SplitColumn(Jsonb *options)
{
	JsonbIterator *iterator = JsonbIteratorInit(&options->root);
	JsonbValue	value;
	char	   *key;

	while (OptionNextKey(&iterator, &key, &value))
	{
		if (strcmp(key, "split_column") == 0)
			return TextOf(&value);
	}
	return NULL;
}

void
StoredSourceRead(const ModelVersion *version, Snapshot snapshot, StoredSource *stored)
{
	Jsonb	   *spec = ModelStoreSpec(version, snapshot);
	JsonbIterator *iterator = JsonbIteratorInit(&spec->root);
	JsonbValue	value;
	char	   *key;

	memset(stored, 0, sizeof(*stored));
	while (OptionNextKey(&iterator, &key, &value))
	{
		if (strcmp(key, "source") == 0)
			stored->source = TextOf(&value);
		else if (strcmp(key, "label") == 0)
			stored->label = TextOf(&value);
		else if (strcmp(key, "domain") == 0)
			stored->domain = TextOf(&value);
		else if (strcmp(key, "search_path") == 0)
			stored->search_path = TextOf(&value);
		else if (strcmp(key, "options") == 0 && value.type == jbvBinary)
			stored->options = JsonbValueToJsonb(&value);
	}
	if (stored->options != NULL && JB_ROOT_IS_OBJECT(stored->options))
		stored->split_column = SplitColumn(stored->options);
}
