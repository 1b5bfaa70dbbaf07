/*
 * deserialize.c - a model as bytes: reading.  The format is drawn in
 * serialize.c.  No byte is trusted: every length is held against what is left
 * of its section before anything is taken from memory, every number against
 * what it may be, and every section against its checksum.
 */
#include <math.h>
#include <string.h>

#include "mml_format.h"

#define SMALLEST_FIELD 52		/* bytes of a feature without name, buckets and values */

/* ------------------------------------------------------------------ source */

/* The section at work. */
typedef struct source
{
	mml_host   *host;
	const mml_reader *reader;
	uint64_t	file_left;		/* bytes of the file not yet read */
	uint64_t	left;			/* bytes of the section not yet read */
	mml_checksum sum;
} source;

static mml_status
bad(source *from, const char *what)
{
	(void) mml_fail(from->host, MML_BAD_MODEL, "stored model is damaged");
	mml_fail_detail(from->host, "Its %s cannot be.", what);
	return MML_BAD_MODEL;
}

static mml_status
read_raw(source *from, void *bytes, size_t n)
{
	if (n > from->file_left)
		return bad(from, "length");
	MML_TRY(from->reader->read(from->reader->self, bytes, n));
	from->file_left -= n;
	return MML_OK;
}

static mml_status
get(source *from, void *bytes, size_t n)
{
	if (n > from->left)
		return bad(from, "section's length");
	MML_TRY(read_raw(from, bytes, n));
	from->left -= n;
	mml_checksum_add(&from->sum, bytes, n);
	return MML_OK;
}

static uint64_t
number_of(const unsigned char *bytes, int n_bytes)
{
	uint64_t	value = 0;

	for (int i = 0; i < n_bytes; i++)
		value |= (uint64_t) bytes[i] << (8 * i);
	return value;
}

static mml_status
get_number(source *from, int n_bytes, uint64_t *value)
{
	unsigned char bytes[8];

	MML_TRY(get(from, bytes, (size_t) n_bytes));
	*value = number_of(bytes, n_bytes);
	return MML_OK;
}

static mml_status
get_u32(source *from, uint32_t *value)
{
	uint64_t	number;

	MML_TRY(get_number(from, 4, &number));
	*value = (uint32_t) number;
	return MML_OK;
}

/* A number that must lie in [low, high]. */
static mml_status
get_i32(source *from, int32_t low, int32_t high, const char *what, int32_t *value)
{
	uint32_t	bits;

	MML_TRY(get_u32(from, &bits));
	*value = (int32_t) bits;
	return *value < low || *value > high ? bad(from, what) : MML_OK;
}

static mml_status
get_i64(source *from, int64_t *value)
{
	uint64_t	bits;

	MML_TRY(get_number(from, 8, &bits));
	*value = (int64_t) bits;
	return MML_OK;
}

static mml_status
get_f64(source *from, double *value)
{
	uint64_t	bits;

	MML_TRY(get_number(from, 8, &bits));
	memcpy(value, &bits, sizeof(bits));
	return MML_OK;
}

/* Text of at most size - 1 bytes without a zero inside, into a buffer. */
static mml_status
get_text(source *from, char *buffer, size_t size, const char *what)
{
	uint32_t	length;

	MML_TRY(get_u32(from, &length));
	if (length >= size)
		return bad(from, what);
	MML_TRY(get(from, buffer, length));
	buffer[length] = '\0';
	return strlen(buffer) == length ? MML_OK : bad(from, what);
}

/* n numbers of `size` bytes into memory that is there. */
static mml_status
get_array(source *from, void *numbers, uint64_t n, size_t size)
{
	unsigned char *at = numbers;
	uint64_t	left = n * size;

	while (left > 0)
	{
		size_t		part = (size_t) MML_MIN(left, MML_FORMAT_PIECE);

		MML_TRY(get(from, at, part));
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
		for (size_t i = 0; i < part; i += size)
			for (size_t j = 0; j < size / 2; j++)
			{
				unsigned char held = at[i + j];

				at[i + j] = at[i + size - 1 - j];
				at[i + size - 1 - j] = held;
			}
#endif
		at += part;
		left -= part;
		MML_TRY(mml_poll(from->host));
	}
	return MML_OK;
}

/* Whether n pieces of `size` bytes may still come. */
static mml_status
check_room(source *from, uint64_t n, uint64_t size, const char *what)
{
	return n > from->left / size ? bad(from, what) : MML_OK;
}

/* ---------------------------------------------------------------- sections */

static const mml_option *
find_option(const char *name)
{
	int			n_options;
	const mml_option *options = mml_options(&n_options);

	for (int i = 0; i < n_options; i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

static mml_status
get_list(source *from, mml_config *config, const mml_option *option)
{
	double		list[MML_MAX_LAYERS];
	uint32_t	n;

	MML_TRY(get_u32(from, &n));
	if (n < 1 || n > MML_MAX_LAYERS)
		return bad(from, option->name);
	for (uint32_t i = 0; i < n; i++)
	{
		int64_t		value;

		MML_TRY(get_i64(from, &value));
		list[i] = (double) value;
	}
	return mml_config_set_list(from->host, config, option, list, (int) n) == MML_OK ? MML_OK : bad(from, option->name);
}

/* A value of 0 may stand for "not given": then the default stays. */
static mml_status
get_option(source *from, mml_config *config)
{
	char		text[64];
	const mml_option *option;
	uint64_t	type;
	int64_t		whole;
	double		real;
	mml_status	status;

	MML_TRY(get_text(from, text, sizeof(text), "option's name"));
	MML_TRY(get_number(from, 1, &type));
	option = find_option(text);
	if (option == NULL || type != (uint64_t) option->type)
		return bad(from, "list of options");
	switch (option->type)
	{
		case MML_OPTION_CHOICE:
			MML_TRY(get_text(from, text, sizeof(text), option->name));
			return mml_config_set_text(from->host, config, option, text) == MML_OK ? MML_OK : MML_BAD_MODEL;
		case MML_OPTION_INTEGERS:
			return get_list(from, config, option);
		case MML_OPTION_REAL:
			MML_TRY(get_f64(from, &real));
			break;
		default:
			MML_TRY(get_i64(from, &whole));
			real = (double) whole;
	}
	if (real == 0.0 && option->minimum > 0.0)
		return MML_OK;
	status = mml_config_set_number(from->host, config, option, real);
	return status == MML_OK ? MML_OK : bad(from, option->name);
}

static mml_status
get_config(source *from, mml_model *model)
{
	uint32_t	n;

	mml_config_init(&model->config);
	MML_TRY(get_u32(from, &n));
	for (uint32_t i = 0; i < n; i++)
		MML_TRY(get_option(from, &model->config));
	return mml_config_check(from->host, &model->config) == MML_OK ? MML_OK : bad(from, "configuration");
}

static mml_status
get_facts(source *from, mml_model *model)
{
	mml_model_facts *facts = &model->facts;
	int32_t		served;
	int32_t		has_gate;

	MML_TRY(get_i32(from, MML_MODE_BACKBONE, MML_MODE_GATE, "served mode", &served));
	MML_TRY(get_i32(from, 0, INT32_MAX, "number of experts", &facts->n_experts));
	MML_TRY(get_i32(from, 0, 1, "gate", &has_gate));
	MML_TRY(get_i64(from, &facts->valid_rows));
	MML_TRY(get_i64(from, &facts->train_rows));
	MML_TRY(get_f64(from, &facts->valid_auc));
	MML_TRY(get_f64(from, &facts->valid_wauc));
	MML_TRY(get_f64(from, &facts->valid_logloss));
	facts->served = (mml_mode) served;
	facts->has_own = facts->n_experts > 0;
	facts->has_gate = has_gate;
	if ((has_gate && !facts->has_own) || (served == MML_MODE_OWN && !facts->has_own) ||
		(served == MML_MODE_GATE && !has_gate))
		return bad(from, "served mode");
	if (facts->valid_rows < 0 || facts->train_rows < 0 || facts->valid_rows > INT64_MAX - facts->train_rows)
		return bad(from, "number of rows");
	facts->rows = facts->valid_rows + facts->train_rows;
	return MML_OK;
}

static mml_status
get_phases(source *from, mml_model *model)
{
	MML_TRY(get_i32(from, 0, MML_MAX_RUNS, "number of phases", &model->n_phases));
	for (int32_t i = 0; i < model->n_phases; i++)
	{
		mml_phase_summary *phase = &model->phases[i];

		MML_TRY(get_i32(from, MML_PHASE_BACKBONE, MML_PHASE_DOMAIN, "phase", &phase->phase));
		MML_TRY(get_i32(from, 0, INT32_MAX, "number of epochs", &phase->epochs));
		MML_TRY(get_i32(from, 0, 1, "phase", &phase->is_used));
		MML_TRY(get_i64(from, &phase->rows));
		MML_TRY(get_f64(from, &phase->train_logloss));
		MML_TRY(get_f64(from, &phase->valid_logloss));
		MML_TRY(get_f64(from, &phase->valid_auc));
		MML_TRY(get_f64(from, &phase->valid_wauc));
		MML_TRY(get_text(from, phase->note, sizeof(phase->note), "note"));
		phase->seconds = phase->rows_per_second = NAN;	/* not stored */
	}
	return MML_OK;
}

static mml_status
get_boundaries(source *from, mml_field *field)
{
	MML_TRY(check_room(from, field->n_boundaries, sizeof(double), "buckets"));
	if (field->n_boundaries == 0)
		return MML_OK;
	MML_TRY(MML_NEW(from->host, field->boundaries, field->n_boundaries));
	MML_TRY(get_array(from, field->boundaries, field->n_boundaries, sizeof(double)));
	for (uint32_t i = 0; i < field->n_boundaries; i++)
		if (!isfinite(field->boundaries[i]) || (i > 0 && field->boundaries[i] <= field->boundaries[i - 1]))
			return bad(from, "buckets");
	return MML_OK;
}

static mml_status
get_vocabulary(source *from, mml_field *field)
{
	uint32_t	n;
	uint64_t   *hashes;
	mml_status	status;

	MML_TRY(get_u32(from, &n));
	MML_TRY(check_room(from, n, sizeof(uint64_t), "vocabulary"));
	MML_TRY(MML_NEW(from->host, hashes, n));
	status = get_array(from, hashes, n, sizeof(uint64_t));
	for (uint32_t i = 1; status == MML_OK && i < n; i++)
		if (hashes[i] <= hashes[i - 1])
			status = bad(from, "vocabulary");
	if (status != MML_OK)
	{
		mml_release(from->host, hashes);
		return status;
	}
	return mml_vocabulary_from_sorted(from->host, &field->vocabulary, hashes, n);
}

static mml_status
get_field(source *from, const mml_model *model, mml_field *field)
{
	char		name[MML_MAX_NAME + 1];

	MML_TRY(get_text(from, name, sizeof(name), "feature's name"));
	MML_TRY(MML_NEW(from->host, field->name, strlen(name) + 1));
	memcpy(field->name, name, strlen(name));
	MML_TRY(get_i32(from, MML_CATEGORICAL, MML_VECTOR, "feature's kind", &field->kind));
	MML_TRY(get_i32(from, 0, 1, "feature", &field->log1p));
	MML_TRY(get_i32(from, 0, 1, "feature", &field->standardize));
	MML_TRY(get_i32(from, 0, 1, "feature", &field->project));
	MML_TRY(get_u32(from, &field->hash_buckets));
	MML_TRY(get_u32(from, &field->width));
	MML_TRY(get_u32(from, &field->n_boundaries));
	if (field->hash_buckets > MML_MAX_BUCKETS || field->width > MML_MAX_WIDTH ||
		(field->kind == MML_VECTOR) != (field->width > 0) ||
		(field->kind == MML_VECTOR && !field->project && field->width != (uint32_t) model->config.embedding_dim))
		return bad(from, "feature's size");
	MML_TRY(get_boundaries(from, field));
	MML_TRY(get_f64(from, &field->mean));
	MML_TRY(get_f64(from, &field->inverse_std));
	if (!isfinite(field->mean) || !isfinite(field->inverse_std))
		return bad(from, "feature's mean");
	MML_TRY(get_vocabulary(from, field));
	field->table_rows = mml_field_table_rows(field);
	return MML_OK;
}

static mml_status
get_fields(source *from, mml_model *model)
{
	mml_field_spec domain = {.name = "domain",.kind = MML_CATEGORICAL};
	uint32_t	n;

	MML_TRY(get_u32(from, &n));
	if (n < 1 || n > MML_MAX_FEATURES)
		return bad(from, "number of features");
	MML_TRY(check_room(from, n, SMALLEST_FIELD, "number of features"));
	MML_TRY(MML_NEW(from->host, model->fields, (size_t) n + 1));
	model->n_fields = (int32_t) n + 1;
	for (uint32_t f = 0; f < n; f++)
		MML_TRY(get_field(from, model, &model->fields[f]));
	MML_TRY(mml_field_copy_spec(from->host, &model->fields[n], &domain));
	model->fields[n].is_domain = 1;
	return MML_OK;
}

static mml_status
get_domain(source *from, mml_model *model, int32_t *n_experts)
{
	char		name[MML_MAX_NAME + 1];
	uint32_t	index;
	int32_t		has_experts;
	mml_domain *domain;

	MML_TRY(get_text(from, name, sizeof(name), "domain's name"));
	if (mml_names_find(model->names, name, strlen(name)) >= 0)
		return bad(from, "list of domains");
	MML_TRY(mml_names_add(from->host, model->names, name, strlen(name), &index));
	domain = &model->names->entries[index];
	MML_TRY(get_i64(from, &domain->rows));
	MML_TRY(get_i64(from, &domain->positives));
	MML_TRY(get_i64(from, &domain->valid_rows));
	MML_TRY(get_i32(from, 0, 1, "domain", &has_experts));
	MML_TRY(get_f64(from, &domain->backbone_auc));
	MML_TRY(get_f64(from, &domain->own_auc));
	MML_TRY(get_f64(from, &domain->gate_auc));
	domain->first_expert = has_experts ? *n_experts : -1;
	if (has_experts && *n_experts > INT32_MAX - model->config.experts_per_domain)
		return bad(from, "number of experts");
	*n_experts += has_experts ? model->config.experts_per_domain : 0;
	return MML_OK;
}

static mml_status
get_domains(source *from, mml_model *model)
{
	uint32_t	n;
	int32_t		n_experts = 0;

	MML_TRY(get_u32(from, &n));
	MML_TRY(check_room(from, n, 4, "number of domains"));
	MML_TRY(MML_NEW(from->host, model->names, 1));
	MML_TRY(MML_NEW(from->host, model->domain_expert, (size_t) n + 1));
	model->domain_expert[0] = -1;
	for (uint32_t d = 0; d < n; d++)
	{
		MML_TRY(get_domain(from, model, &n_experts));
		model->domain_expert[d + 1] = model->names->entries[d].first_expert;
	}
	if (n_experts != model->facts.n_experts)
		return bad(from, "number of experts");
	model->fields[model->n_fields - 1].table_rows = n + 1;
	return MML_OK;
}

static mml_status
get_cuts(source *from, mml_profile_field *to)
{
	MML_TRY(get_u32(from, &to->n_cuts));
	if (to->n_cuts > MML_PROFILE_CUTS)
		return bad(from, "profile's cuts");
	MML_TRY(get_array(from, to->cuts, to->n_cuts, sizeof(uint32_t)));
	for (uint32_t i = 1; i < to->n_cuts; i++)
		if (to->cuts[i] <= to->cuts[i - 1])
			return bad(from, "profile's cuts");
	return MML_OK;
}

static mml_status
get_counts(source *from, uint64_t *counts, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		uint32_t	count;

		MML_TRY(get_u32(from, &count));
		counts[i] = count;
	}
	return MML_OK;
}

/* Memory is taken once its bytes are there. */
static mml_status
get_group(source *from, const mml_model *model, mml_profile_group *group)
{
	mml_profile *profile = model->profile;
	mml_score_profile *scores = &group->scores[model->facts.served];

	MML_TRY(get_counts(from, group->counts, profile->n_bins));
	MML_TRY(get_counts(from, group->valid, 2 * (size_t) profile->n_features));
	for (uint32_t f = 0; f < profile->n_features; f++)
		if (group->valid[2 * f + 1] > group->valid[2 * f])
			return bad(from, "profile's counts");
	MML_TRY(get_f64(from, &scores->mean));
	if (scores->mean < 0.0 || scores->mean > 1.0)
		return bad(from, "mean score");
	return get_counts(from, scores->counts, MML_SCORE_BINS);
}

static mml_status
get_groups(source *from, const mml_model *model)
{
	mml_profile *profile = model->profile;
	uint64_t	words = mml_profile_group_words(profile);

	MML_TRY(check_room(from, words, sizeof(uint32_t), "profile"));
	MML_TRY(mml_profile_open(from->host, profile, &profile->all));
	MML_TRY(get_group(from, model, &profile->all));
	for (uint32_t d = 0; d < profile->n_domains; d++)
	{
		int32_t		has_group;

		MML_TRY(get_i32(from, 0, 1, "profile", &has_group));
		if (!has_group)
			continue;
		MML_TRY(check_room(from, words, sizeof(uint32_t), "profile"));
		MML_TRY(mml_profile_open_domain(from->host, profile, d));
		MML_TRY(get_group(from, model, profile->domains[d]));
	}
	return MML_OK;
}

static mml_status
get_gates(source *from, mml_model *model)
{
	uint64_t	n = 2 * (uint64_t) model->facts.n_experts;

	for (uint32_t d = 0; d < model->profile->n_domains; d++)
	{
		float	  **gates = &model->profile->gates[d];
		int32_t		has_gates;

		MML_TRY(get_i32(from, 0, 1, "gates", &has_gates));
		if (!has_gates)
			continue;
		MML_TRY(check_room(from, n, sizeof(float), "gates"));
		MML_TRY(MML_NEW(from->host, *gates, n));
		MML_TRY(get_array(from, *gates, n, sizeof(float)));
		for (uint64_t i = 0; i < n; i++)
			if (!((*gates)[i] >= 0.0f && (*gates)[i] <= 1.0f))
				return bad(from, "gates");
	}
	return MML_OK;
}

static mml_status
get_profile(source *from, mml_model *model)
{
	MML_TRY(mml_profile_create(from->host, model->n_fields, model->names->n, &model->profile));
	for (uint32_t f = 0; f < model->profile->n_features; f++)
		MML_TRY(get_cuts(from, &model->profile->fields[f]));
	mml_profile_place(model->profile);
	MML_TRY(get_groups(from, model));
	return get_gates(from, model);
}

/* Slots of the rows follow from the fields, as for training. */
static mml_status
lay_out_fields(source *from, mml_model *model)
{
	mml_rows	layout;

	(void) from;
	memset(&layout, 0, sizeof(layout));
	layout.fields = model->fields;
	layout.n_fields = model->n_fields;
	mml_rows_init_layout(&layout);
	return MML_OK;
}

/* Nothing is taken before the section's length says that the tensors are there. */
static mml_status
check_tensors(source *from, const mml_model *model)
{
	mml_shape	shape;
	mml_params *params;
	uint64_t	bytes = 0;

	mml_shape_init(&shape, &model->config, model->n_fields, model->facts.n_experts,
				   model->facts.has_gate && model->config.gate == MML_GATE_DOMAIN,
				   model->facts.has_gate && model->config.gate == MML_GATE_INPUT);
	{
		mml_layout *layout;
		mml_status	status;

		MML_TRY(MML_NEW(from->host, layout, (size_t) model->n_fields));
		for (int f = 0; f < model->n_fields; f++)
			mml_layout_of(&model->fields[f], &layout[f]);
		status = mml_params_declare(from->host, &shape, layout, &params);
		mml_release(from->host, layout);
		MML_TRY(status);
	}
	for (int32_t i = 0; i < params->n_tensors && bytes <= from->left; i++)
	{
		const mml_tensor *tensor = &params->tensors[i];

		/* more numbers than bytes are left: their product might wrap */
		if (tensor->cols > 0 && tensor->rows > from->left / tensor->cols)
			bytes = UINT64_MAX;
		else
			bytes += 20 + strlen(tensor->name) + tensor->rows * tensor->cols * sizeof(float);
	}
	mml_params_free(from->host, params);
	return bytes == from->left ? MML_OK : bad(from, "tensors' size");
}

static mml_status
get_tensors(source *from, mml_model *model)
{
	MML_TRY(lay_out_fields(from, model));
	MML_TRY(check_tensors(from, model));
	MML_TRY(mml_model_shape(model, model->facts.n_experts, model->facts.has_gate));
	for (int32_t i = 0; i < model->params->n_tensors; i++)
	{
		const mml_tensor *tensor = &model->params->tensors[i];
		char		name[sizeof(tensor->name)];
		uint64_t	rows;
		uint64_t	cols;

		MML_TRY(get_text(from, name, sizeof(name), "tensor's name"));
		MML_TRY(get_number(from, 8, &rows));
		MML_TRY(get_number(from, 8, &cols));
		if (strcmp(name, tensor->name) != 0 || rows != tensor->rows || cols != tensor->cols)
			return bad(from, "tensor's shape");
		MML_TRY(get_array(from, mml_arena_at(&model->arena, tensor->value), rows * cols, sizeof(float)));
	}
	model->facts.parameters = (int64_t) mml_params_count(model->params, MML_GROUP_ALL);
	return MML_OK;
}

typedef struct section
{
	uint32_t	tag;
	mml_status	(*take) (source *from, mml_model *model);
} section;

static const section sections[MML_SECTIONS] = {
	{MML_TAG_CONFIG, get_config},
	{MML_TAG_FACTS, get_facts},
	{MML_TAG_PHASES, get_phases},
	{MML_TAG_FIELDS, get_fields},
	{MML_TAG_DOMAINS, get_domains},
	{MML_TAG_PROFILE, get_profile},
	{MML_TAG_TENSORS, get_tensors},
};

/* -------------------------------------------------------------------- load */

static mml_status
check_head(source *from)
{
	unsigned char head[MML_FILE_HEAD];

	if (from->file_left < sizeof(head))
	{
		(void) mml_fail(from->host, MML_BAD_MODEL, "the bytes are not a moemlora model");
		mml_fail_detail(from->host, "There are %llu of them, a model has more.", (unsigned long long) from->file_left);
		return MML_BAD_MODEL;
	}
	MML_TRY(read_raw(from, head, sizeof(head)));
	if (memcmp(head, MML_FILE_MAGIC, 8) != 0)
	{
		(void) mml_fail(from->host, MML_BAD_MODEL, "the bytes are not a moemlora model");
		mml_fail_detail(from->host, "They do not begin with \"%s\".", MML_FILE_MAGIC);
		return MML_BAD_MODEL;
	}
	if (number_of(head + 8, 4) != MML_FILE_VERSION)
	{
		(void) mml_fail(from->host, MML_BAD_MODEL, "stored model has format %llu, this version reads format %d",
						(unsigned long long) number_of(head + 8, 4), MML_FILE_VERSION);
		mml_fail_hint(from->host, "Use a version of moemlora that is at least as new as the one that stored it.");
		return MML_BAD_MODEL;
	}
	if (number_of(head + 12, 4) != MML_SECTIONS)
		return bad(from, "number of sections");
	if (number_of(head + 16, 8) != from->reader->total)
	{
		(void) mml_fail(from->host, MML_BAD_MODEL, "stored model is cut off or has more bytes than it should");
		mml_fail_detail(from->host, "It says it has %llu bytes, there are %llu.",
						(unsigned long long) number_of(head + 16, 8), (unsigned long long) from->reader->total);
		return MML_BAD_MODEL;
	}
	return MML_OK;
}

static mml_status
load_section(source *from, const section *of, mml_model *model)
{
	unsigned char head[MML_SECTION_HEAD];

	MML_TRY(read_raw(from, head, sizeof(head)));
	from->left = number_of(head + 8, 8);
	if (number_of(head, 4) != of->tag || number_of(head + 4, 4) != 0 || from->left > from->file_left)
		return bad(from, "table of sections");
	mml_checksum_init(&from->sum);
	MML_TRY(of->take(from, model));
	if (from->left != 0)
		return bad(from, "section's length");
	if (mml_checksum_end(&from->sum) != number_of(head + 16, 8))
		return bad(from, "checksum");
	return MML_OK;
}

mml_status
mml_model_load(mml_host *host, const mml_reader *reader, mml_model **model)
{
	source		from = {.host = host,.reader = reader,.file_left = reader->total};
	mml_status	status;

	*model = NULL;
	MML_TRY(check_head(&from));
	MML_TRY(mml_model_create(host, model));
	status = MML_OK;
	for (int i = 0; status == MML_OK && i < MML_SECTIONS; i++)
		status = load_section(&from, &sections[i], *model);
	if (status == MML_OK && from.file_left != 0)
		status = bad(&from, "length");
	if (status != MML_OK)
	{
		mml_model_free(*model);
		*model = NULL;
	}
	return status;
}
