/*
 * explain.c - what takes the memory of a training, for the error that says
 * there is not enough: mostly it is one feature of very many values.
 */
#include <string.h>

#include "mml_train.h"

#define SHOWN_NAME 64			/* bytes of a name, and its end */

/* The feature with the largest table; NULL where no feature has one. */
static const mml_field *
largest_table(const mml_rows *rows)
{
	const mml_field *largest = NULL;

	for (int f = 0; f < rows->n_fields; f++)
	{
		const mml_field *field = &rows->fields[f];

		if (!field->is_domain && (largest == NULL || mml_field_table_rows(field) > mml_field_table_rows(largest)))
			largest = field;
	}
	return largest;
}

/* Appends to the detail. */
static void
add_detail(mml_rows *rows, const mml_field *field, const char *name, uint64_t bytes)
{
	char	   *detail = rows->host->error.detail;
	size_t		end = strlen(detail);
	char		weights[64] = "";

	/* while values come in, nobody knows how many will be rare */
	if (rows->is_finished || rows->config.min_count == 1)
		mml_format(weights, sizeof(weights), "; in training their weights take %llu MB",
				   (unsigned long long) (bytes >> 20));
	mml_format(detail + end, sizeof(rows->host->error.detail) - end, " In %zu rows, feature \"%s\" has %u %s%s.",
			   rows->n_rows, name, mml_field_table_rows(field) - MML_ID_FIRST,
			   field->hash_buckets > 0 ? "hash buckets" : "values", weights);
}

static void
set_hint(mml_rows *rows, const mml_field *field, const char *name)
{
	if (field->hash_buckets > 0)
		mml_fail_hint(rows->host, "Raise moemlora.training_memory, or lower \"embedding_dim\", "
					  "or \"hash\" of feature \"%s\".", name);
	else if (rows->is_finished || rows->config.min_count == 1)
		mml_fail_hint(rows->host, "Raise moemlora.training_memory, or lower \"embedding_dim\", or raise \"min_count\", "
					  "or give \"hash\" to feature \"%s\" in \"columns\".", name);
	else
		mml_fail_hint(rows->host, "Raise moemlora.training_memory, or give \"hash\" to feature \"%s\" in \"columns\", "
					  "or train on fewer rows.", name);
}

void
mml_rows_explain(mml_rows *rows, mml_status status)
{
	const mml_field *field;
	uint64_t	bytes;
	char		name[SHOWN_NAME];

	/* of the limits only the one on memory comes with a detail */
	if (status != MML_LIMIT || !rows->is_learning || rows->fields == NULL || rows->host->error.detail[0] == '\0' ||
		rows->host->limit_hint != NULL)
		return;
	field = largest_table(rows);
	bytes = field == NULL ? 0 : mml_field_table_rows(field) * mml_category_bytes(&rows->config);
	if (bytes < rows->host->memory_used / 4 || bytes == 0)
		return;
	mml_copy_text(name, sizeof(name), field->name, strlen(field->name));
	add_detail(rows, field, name, bytes);
	set_hint(rows, field, name);
}
