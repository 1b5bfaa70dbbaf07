/*
 * warm.c - a warm start: what rows take over from the version that training
 * goes on from.  Its values of categories and its domains are learned before
 * those of the rows, so they keep the first places until all ids are made final
 * (dataset.c).  The tensors follow in warm_values.c.
 */
#include <string.h>

#include "mml_layers.h"

#define VALUES_PER_POLL 65536

/* Options that decide shapes, and what the numbers in them mean. */
static const char *const size_options[] = {
	"backbone", "embedding_dim", "hidden", NULL
};

/* The same for experts; their ranks are compared as such. */
static const char *const expert_options[] = {"experts_per_domain", NULL};

/* What mends it; where a version need not be gone on from, that too. */
static void
hint(const mml_rows *rows, const char *what)
{
	mml_fail_hint(rows->host, "%s%s.", what, rows->added == NULL ? ", or train without \"warm_start\"" : "");
}

/* ---------------------------------------------------------------- features */

/*
 * What can be said of a feature besides its name, as what it is; nothing where
 * it does not matter.  `other` is what it is held against.
 */
typedef void (*describe) (const mml_field *field, const mml_field *other, char *text, size_t size);

static void
describe_kind(const mml_field *field, const mml_field *other, char *text, size_t size)
{
	(void) other;
	mml_format(text, size, "%s", mml_kind_name(field->kind));
}

static void
describe_hash(const mml_field *field, const mml_field *other, char *text, size_t size)
{
	(void) other;
	if (field->hash_buckets > 0)
		mml_format(text, size, "hashed into %u buckets", field->hash_buckets);
	else
		mml_format(text, size, "not hashed");
}

/* The first boundary that differs, where their number does not. */
static void
describe_boundaries(const mml_field *field, const mml_field *other, char *text, size_t size)
{
	uint32_t	i = 0;

	if (field->n_boundaries == 0)
		mml_format(text, size, "not in buckets");
	else if (field->n_boundaries != other->n_boundaries)
		mml_format(text, size, "in buckets with %u boundaries", field->n_boundaries);
	else
	{
		while (i < field->n_boundaries - 1 && field->boundaries[i] == other->boundaries[i])
			i++;
		mml_format(text, size, "in buckets whose boundary %u is %.17g", i + 1, field->boundaries[i]);
	}
}

static void
describe_transform(const mml_field *field, const mml_field *other, char *text, size_t size)
{
	(void) other;
	if (field->kind == MML_NUMERIC || field->n_boundaries > 0)
		mml_format(text, size, "%s", field->log1p ? "transformed by log1p" : "not transformed");
}

static void
describe_scale(const mml_field *field, const mml_field *other, char *text, size_t size)
{
	(void) other;
	if (field->kind == MML_NUMERIC)
		mml_format(text, size, "%s", field->standardize ? "standardized" : "not standardized");
}

static void
describe_projection(const mml_field *field, const mml_field *other, char *text, size_t size)
{
	(void) other;
	if (field->kind == MML_VECTOR)
		mml_format(text, size, "%s", field->project ? "projected" : "not projected");
}

/* The width may not be known before the first value. */
static void
describe_width(const mml_field *field, const mml_field *other, char *text, size_t size)
{
	if (field->width > 0 && other->width > 0)
		mml_format(text, size, "of length %u", field->width);
}

static const describe aspects[] = {
	describe_boundaries, describe_kind, describe_hash, describe_transform, describe_scale, describe_projection,
	describe_width
};

static mml_status
check_feature(const mml_rows *rows, const mml_field *field, const mml_field *before)
{
	for (size_t i = 0; i < sizeof(aspects) / sizeof(aspects[0]); i++)
	{
		char		now[80] = "";
		char		then[80] = "";

		aspects[i] (field, before, now, sizeof(now));
		aspects[i] (before, field, then, sizeof(then));
		if (strcmp(now, then) == 0)
			continue;
		(void) mml_fail(rows->host, MML_BAD_OPTION, "cannot start from version %d: feature \"%s\" differs",
						rows->previous_version, field->name);
		mml_fail_detail(rows->host, "It is %s, there it is %s.", now, then);
		hint(rows, "Describe the feature as before");
		return MML_BAD_OPTION;
	}
	return MML_OK;
}

static bool
has_feature(const mml_field *fields, int n, const char *name)
{
	for (int f = 0; f < n; f++)
		if (strcmp(fields[f].name, name) == 0)
			return true;
	return false;
}

static mml_status
refuse_set(const mml_rows *rows, const char *name, const char *what, const char *detail)
{
	(void) mml_fail(rows->host, MML_BAD_OPTION, "cannot start from version %d: feature \"%s\" is %s",
					rows->previous_version, name, what);
	mml_fail_detail(rows->host, "%s", detail);
	hint(rows, "Give the same features");
	return MML_BAD_OPTION;
}

/* Position f has another name than before, or none on one side: what is the matter with the names. */
static mml_status
refuse_names(const mml_rows *rows, int f)
{
	const mml_model *before = rows->previous;
	int			n = rows->n_fields - 1;
	int			n_before = before->n_fields - 1;

	if (f < n && !has_feature(before->fields, n_before, rows->fields[f].name))
		return refuse_set(rows, rows->fields[f].name, "new", "That version does not have it.");
	if (f < n_before && !has_feature(rows->fields, n, before->fields[f].name))
		return refuse_set(rows, before->fields[f].name, "missing", "That version has it.");
	(void) mml_fail(rows->host, MML_BAD_OPTION, "cannot start from version %d: the features are in another order",
					rows->previous_version);
	mml_fail_detail(rows->host, "Feature %d is \"%s\", there it is \"%s\".", f + 1, rows->fields[f].name,
					before->fields[f].name);
	hint(rows, "List the features in the order of that version");
	return MML_BAD_OPTION;
}

static mml_status
check_features(const mml_rows *rows)
{
	const mml_model *before = rows->previous;
	int			n = rows->n_fields - 1;
	int			n_before = before->n_fields - 1;

	for (int f = 0; f < MML_MAX(n, n_before); f++)
	{
		if (f >= n || f >= n_before || strcmp(rows->fields[f].name, before->fields[f].name) != 0)
			return refuse_names(rows, f);
		MML_TRY(check_feature(rows, &rows->fields[f], &before->fields[f]));
	}
	return MML_OK;
}

/* ----------------------------------------------------------------- options */

/* An option's value as it is written in SQL. */
static void
write_value(const mml_config *config, const mml_option *option, char *text, size_t size)
{
	char		value[160];

	mml_config_get_text(config, option, value, sizeof(value));
	mml_format(text, size, option->type == MML_OPTION_CHOICE ? "\"%s\"" : option->type == MML_OPTION_INTEGERS ?
			   "[%s]" : "%s", value);
}

static mml_status
check_option(const mml_rows *rows, const mml_config *config, const mml_option *option)
{
	char		now[170];
	char		then[170];

	write_value(config, option, now, sizeof(now));
	write_value(&rows->previous->config, option, then, sizeof(then));
	if (strcmp(now, then) == 0)
		return MML_OK;
	(void) mml_fail(rows->host, MML_BAD_OPTION, "cannot start from version %d: option \"%s\" differs",
					rows->previous_version, option->name);
	mml_fail_detail(rows->host, "It is %s, there it is %s.", now, then);
	mml_fail_hint(rows->host, "Give \"%s\": %s, or train without \"warm_start\".", option->name, then);
	return MML_BAD_OPTION;
}

static mml_status
check_options(const mml_rows *rows, const mml_config *config, const char *const *names)
{
	int			n_options;
	const mml_option *options = mml_options(&n_options);

	for (; *names != NULL; names++)
		for (int i = 0; i < n_options; i++)
			if (strcmp(options[i].name, *names) == 0)
				MML_TRY(check_option(rows, config, &options[i]));
	return MML_OK;
}

/* Two ways to say it may come to the same ranks. */
static mml_status
check_ranks(const mml_rows *rows, const mml_config *config)
{
	const mml_shape *before = &rows->previous->params->shape;
	const mml_config *said = &rows->previous->config;
	mml_shape	now;
	char		way[64] = "Leave out \"lora_rank\" and \"lora_reduce\"";

	mml_shape_init(&now, config, rows->n_fields, config->experts_per_domain, false, false);
	for (int l = 0; l < now.n_layers; l++)
	{
		if (now.rank[l] == before->rank[l])
			continue;
		if (said->lora_rank > 0)
			mml_format(way, sizeof(way), "Give \"lora_rank\": %d", said->lora_rank);
		else if (said->lora_reduce > 0)
			mml_format(way, sizeof(way), "Give \"lora_reduce\": %d", said->lora_reduce);
		(void) mml_fail(rows->host, MML_BAD_OPTION, "cannot start from version %d: the experts' ranks differ",
						rows->previous_version);
		mml_fail_detail(rows->host, "In tower layer %d the rank is %d, there it is %d.", l, now.rank[l], before->rank[l]);
		mml_fail_hint(rows->host, "%s, or train without \"warm_start\".", way);
		return MML_BAD_OPTION;
	}
	return MML_OK;
}

mml_status
mml_warm_check(const mml_rows *rows, const mml_config *config)
{
	if (rows->previous == NULL)
		return MML_OK;
	MML_TRY(check_options(rows, config, size_options));
	MML_TRY(check_options(rows, config, mml_backbone_options(config)));
	if (config->method == MML_BACKBONE || rows->previous->facts.n_experts == 0)
		return MML_OK;
	MML_TRY(check_options(rows, config, expert_options));
	return check_ranks(rows, config);
}

/* ------------------------------------------------------------------- union */

/* Learns the values of that version: value i gets place i. */
static mml_status
take_values(mml_rows *rows, int f)
{
	const mml_vocabulary *before = &rows->previous->fields[f].vocabulary;
	uint32_t	id;

	for (uint32_t i = 0; i < before->n; i++)
	{
		MML_TRY(mml_vocabulary_learn(rows->host, &rows->fields[f].vocabulary, before->hashes[i], &id));
		if (i % VALUES_PER_POLL == VALUES_PER_POLL - 1)
			MML_TRY(mml_poll(rows->host));
	}
	return MML_OK;
}

/* A row that is counted in advance keeps a domain when names settle; what is counted after that starts at 0. */
static mml_status
take_domains(mml_rows *rows)
{
	const mml_names *before = rows->previous->names;
	uint32_t	index;

	for (uint32_t d = 0; d < before->n; d++)
	{
		const char *name = before->entries[d].name;

		MML_TRY(mml_names_add(rows->host, rows->names, name, strlen(name), &index));
		rows->names->entries[index].rows = 1;
	}
	return MML_OK;
}

mml_status
mml_rows_start_from(mml_rows *rows, mml_model *previous, int32_t version)
{
	rows->previous = previous;
	rows->previous_version = version;
	MML_TRY(check_features(rows));
	MML_TRY(mml_warm_check(rows, &rows->config));
	for (int f = 0; f < rows->n_fields; f++)
	{
		if (mml_field_has_vocabulary(&rows->fields[f]))
			MML_TRY(take_values(rows, f));
		rows->fields[f].width = previous->fields[f].width;
	}
	mml_rows_init_layout(rows);
	return take_domains(rows);
}

void
mml_warm_keep_values(const mml_rows *rows, int f, uint32_t *counts)
{
	uint32_t	n = rows->previous == NULL ? 0 : rows->previous->fields[f].vocabulary.n;

	for (uint32_t i = 0; i < n; i++)
		counts[i] = MML_MAX(counts[i], (uint32_t) rows->config.min_count);
	/* the tables are not trained for one domain alone: what is new stays unknown */
	if (rows->added != NULL)
		memset(counts + n, 0, (rows->fields[f].vocabulary.n - n) * sizeof(*counts));
}

/* The weights refer to the scale that they were trained with.  Where z was always 0, none was. */
void
mml_warm_keep_scales(mml_rows *rows)
{
	for (int f = 0; rows->previous != NULL && f < rows->n_fields; f++)
	{
		const mml_field *before = &rows->previous->fields[f];

		if (before->kind != MML_NUMERIC || (before->inverse_std == 0.0 && rows->added == NULL))
			continue;
		rows->fields[f].mean = before->mean;
		rows->fields[f].inverse_std = before->inverse_std;
	}
}

int32_t
mml_warm_expert(const mml_rows *rows, uint32_t domain)
{
	const char *name = rows->names->entries[domain].name;
	int64_t		index;

	if (rows->previous == NULL)
		return -1;
	index = mml_names_find(rows->previous->names, name, strlen(name));
	return index < 0 ? -1 : rows->previous->names->entries[index].first_expert;
}
