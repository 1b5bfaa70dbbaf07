/*
 * field.c - what a feature is (MODELS.md section 1).
 */
#include <math.h>
#include <string.h>

#include "mml_layers.h"

static mml_status
check_spec(mml_host *host, const mml_field_spec *spec, size_t name_length)
{
	if (name_length == 0 || name_length > MML_MAX_NAME)
		return mml_fail(host, MML_BAD_OPTION, "a feature's name must have 1 to %d bytes", MML_MAX_NAME);
	if (spec->hash_buckets > MML_MAX_BUCKETS)
		return mml_fail(host, MML_LIMIT, "feature \"%s\" has %u hash buckets, more than %d",
						spec->name, spec->hash_buckets, MML_MAX_BUCKETS);
	if (spec->width > MML_MAX_WIDTH)
		return mml_fail(host, MML_LIMIT, "vector feature \"%s\" has length %u, more than %d",
						spec->name, spec->width, MML_MAX_WIDTH);
	for (int i = 0; i < spec->n_boundaries; i++)
		if (!isfinite(spec->boundaries[i]) || (i > 0 && spec->boundaries[i] <= spec->boundaries[i - 1]))
			return mml_fail(host, MML_BAD_OPTION, "buckets of feature \"%s\" must be finite and ascending", spec->name);
	return MML_OK;
}

mml_status
mml_field_copy_spec(mml_host *host, mml_field *field, const mml_field_spec *spec)
{
	size_t		name_length = strlen(spec->name);

	memset(field, 0, sizeof(*field));
	MML_TRY(check_spec(host, spec, name_length));
	field->kind = spec->kind;
	field->hash_buckets = spec->hash_buckets;
	field->log1p = spec->log1p;
	field->standardize = spec->standardize;
	field->project = spec->project;
	field->width = spec->width;
	field->inverse_std = 1.0;
	MML_TRY(MML_NEW(host, field->name, name_length + 1));
	memcpy(field->name, spec->name, name_length);
	if (spec->n_boundaries > 0)
	{
		MML_TRY(MML_NEW(host, field->boundaries, (size_t) spec->n_boundaries));
		memcpy(field->boundaries, spec->boundaries, (size_t) spec->n_boundaries * sizeof(double));
		field->n_boundaries = (uint32_t) spec->n_boundaries;
	}
	return MML_OK;
}

uint32_t
mml_field_table_rows(const mml_field *field)
{
	switch (field->kind)
	{
		case MML_NUMERIC:
			return 1;
		case MML_VECTOR:
			return 0;
		default:
			return MML_ID_FIRST + (field->hash_buckets > 0 ? field->hash_buckets : field->vocabulary.n);
	}
}

bool
mml_field_has_vocabulary(const mml_field *field)
{
	return !field->is_domain && field->hash_buckets == 0 &&
		(field->kind == MML_CATEGORICAL || field->kind == MML_MULTI);
}

const char *
mml_kind_name(int32_t kind)
{
	static const char *const names[] = {
		[MML_CATEGORICAL] = "categorical",[MML_NUMERIC] = "numeric",[MML_MULTI] = "multi",[MML_VECTOR] = "vector"
	};

	return names[kind];
}

void
mml_field_free(mml_host *host, mml_field *field)
{
	mml_release(host, field->name);
	mml_release(host, field->boundaries);
	mml_vocabulary_free(host, &field->vocabulary);
}
