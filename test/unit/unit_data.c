/*
 * unit_data.c - rows with a planted signal for tests of whole trainings.
 *
 * A row's label is drawn with a logit that users and items share, and a part in
 * which an item acts differently in each domain: so experts have something to
 * learn that a backbone finds harder.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

void
unit_data_init(unit_data *data)
{
	memset(data, 0, sizeof(*data));
	data->seed = 7;
	data->n_rows = 600;
	data->n_users = 30;
	data->n_items = 20;
	data->n_domains = 3;
	data->features = UNIT_ALL_KINDS;
}

void
unit_config_init(mml_config *config)
{
	mml_config_init(config);
	config->recipe = MML_RECIPE_PAPER;
	config->embedding_dim = 4;
	config->n_hidden = 2;
	config->hidden[0] = 8;
	config->hidden[1] = 4;
	config->lora_reduce = 2;
	config->min_domain_rows = 50;
	config->epochs = 3;
	config->batch_size = 64;
	config->dropout = 0.0;
	config->learning_rate = 0.01;
	config->validation = 0.25;
}

bool
unit_set(mml_config *config, const char *name, const char *value)
{
	int			n_options;
	const mml_option *options = mml_options(&n_options);
	unit_host	unit;

	unit_host_init(&unit);
	for (int i = 0; i < n_options; i++)
	{
		double		number = strtod(value, NULL);

		if (strcmp(options[i].name, name) != 0)
			continue;
		if (options[i].type == MML_OPTION_CHOICE)
			return mml_config_set_text(&unit.host, config, &options[i], value) == MML_OK;
		if (options[i].type == MML_OPTION_INTEGERS)
			return mml_config_set_list(&unit.host, config, &options[i], &number, 1) == MML_OK;
		return mml_config_set_number(&unit.host, config, &options[i], number) == MML_OK;
	}
	return false;
}

void
unit_set_all(mml_config *config, const char *options)
{
	char		text[200];
	char	   *rest = text;
	char	   *word;

	snprintf(text, sizeof(text), "%s", options);
	while ((word = strsep(&rest, " ")) != NULL)
	{
		char	   *value = strchr(word, '=');

		*value++ = '\0';
		unit_check(unit_set(config, word, value), "option %s cannot be %s", word, value);
	}
}

void
unit_first_night(mml_config *config, unit_data *data)
{
	unit_config_init(config);
	unit_data_init(data);
	data->features = UNIT_ALL_KINDS | UNIT_AGE;
	config->l2 = 0.0;
}

void
unit_second_night(unit_data *data, const unit_bytes *previous)
{
	data->draw = 1;
	data->first_user = 10;
	data->first_domain = 1;
	data->previous = previous;
}

void
unit_new_domain(unit_data *data, const unit_bytes *previous)
{
	data->draw = 2;
	data->n_rows = 160;
	data->first_user = 20;
	data->n_domains = 1;
	data->first_domain = 9;
	data->added = "d9";
	data->previous = previous;
}

/* -------------------------------------------------------------------- rows */

/* What is drawn for one row. */
typedef struct row_values
{
	uint32_t	user;
	uint32_t	item;
	uint32_t	domain;
	double		price;			/* NaN = NULL */
	int			n_tags;			/* -1 = NULL */
	int64_t		tags[4];
	bool		has_vector;
	float		vector[3];
	float		label;
	double		weight;
} row_values;

static double
planted_logit(const unit_data *data, const row_values *row)
{
	uint64_t	key = data->seed + 100;
	double		z = 1.2 * mml_normal(key, row->user) + 0.8 * mml_normal(key + 1, row->item);

	z += 1.5 * mml_normal(key + 2, (uint64_t) row->item * 64 + row->domain);
	if (data->features & UNIT_PRICE && !isnan(row->price))
		z += 0.3 * (row->price - 10.0);
	if (data->features & UNIT_VECTOR && row->has_vector)
		z += 0.8 * row->vector[0];
	return z;
}

static void
draw_row(const unit_data *data, size_t i, row_values *row)
{
	uint64_t	key = mml_combine(data->seed + (data->draw << 32), i);
	uint64_t	n = 0;

	row->user = data->first_user + (uint32_t) mml_below(key, n++, data->n_users);
	row->item = (uint32_t) mml_below(key, n++, data->n_items);
	row->domain = data->n_domains - 1;
	if (data->n_domains > 1 && mml_uniform(key, n++) >= 0.02)
		row->domain = (uint32_t) mml_below(key, n++, data->n_domains - 1);
	row->domain += data->first_domain;
	row->price = mml_uniform(key, n++) < 0.1 ? NAN : 10.0 + 2.0 * mml_normal(key, n + 100);
	row->n_tags = (int) mml_below(key, n++, 6) - 1;
	row->n_tags = row->n_tags > 3 ? 3 : row->n_tags;
	for (int t = 0; t < row->n_tags; t++)
		row->tags[t] = (int64_t) mml_below(key, n++, 10);
	row->has_vector = mml_uniform(key, n++) >= 0.1;
	for (int j = 0; j < 3; j++)
		row->vector[j] = (float) mml_normal(key, n++);
	row->weight = data->has_weights ? 0.5 * (double) mml_below(key, n++, 4) : 1.0;
	row->label = mml_uniform(key, n++) < mml_sigmoid(planted_logit(data, row));
	if (data->is_one_class)
		row->label = 1.0f;
	if (data->is_perverse && i >= data->n_rows - data->n_valid)
		row->label = 1.0f - row->label;
}

int
unit_specs(const unit_data *data, mml_field_spec *specs)
{
	static const double ages[] = {9.0, 10.5, 12.0};
	int			n = 2;

	memset(specs, 0, UNIT_MAX_FEATURES * sizeof(*specs));
	specs[0] = (mml_field_spec) {.name = "user",.kind = MML_CATEGORICAL};
	specs[1] = (mml_field_spec) {.name = "item",.kind = MML_CATEGORICAL};
	if (data->features & UNIT_PRICE)
		specs[n++] = (mml_field_spec) {.name = "price",.kind = MML_NUMERIC,.standardize = true};
	if (data->features & UNIT_TAGS)
		specs[n++] = (mml_field_spec) {.name = "tags",.kind = MML_MULTI};
	if (data->features & UNIT_VECTOR)
		specs[n++] = (mml_field_spec) {.name = "picture",.kind = MML_VECTOR,.project = true};
	if (data->features & UNIT_AGE)
		specs[n++] = (mml_field_spec) {.name = "age",.kind = MML_CATEGORICAL,.boundaries = ages,.n_boundaries = 3};
	if (data->features & UNIT_HASH)
		specs[0].hash_buckets = 16;
	return n;
}

void
unit_domain_of(const unit_data *data, size_t i, char *name, size_t size)
{
	row_values	row;

	draw_row(data, i, &row);
	snprintf(name, size, "d%u", row.domain);
}

static mml_status
put_tags(mml_rows *rows, int field, const row_values *row)
{
	if (row->n_tags < 0)
		return mml_put_null(rows, field);
	MML_TRY(mml_put_items_begin(rows, field));
	for (int t = 0; t < row->n_tags; t++)
		MML_TRY(mml_put_item_integer(rows, field, row->tags[t]));
	return mml_put_items_end(rows, field);
}

mml_status
unit_put_values(mml_rows *rows, const unit_data *data, size_t i)
{
	row_values	row;
	char		item[32];
	int			field = 2;

	draw_row(data, i, &row);
	snprintf(item, sizeof(item), "item %u", row.item);
	MML_TRY(mml_put_integer(rows, 0, row.user));
	MML_TRY(mml_put_text(rows, 1, item, strlen(item)));
	if (data->features & UNIT_PRICE)
	{
		MML_TRY(isnan(row.price) ? mml_put_null(rows, field) : mml_put_real(rows, field, row.price));
		field++;
	}
	if (data->features & UNIT_TAGS)
		MML_TRY(put_tags(rows, field++, &row));
	if (data->features & UNIT_VECTOR)
		MML_TRY(row.has_vector ? mml_put_vector(rows, field++, row.vector, 3) : mml_put_null(rows, field++));
	if (data->features & UNIT_AGE)
		MML_TRY(isnan(row.price) ? mml_put_null(rows, field) : mml_put_real(rows, field, row.price));
	return MML_OK;
}

mml_status
unit_push_training(mml_rows *rows, const unit_data *data, size_t i)
{
	char		domain[32];
	row_values	row;
	mml_row_facts facts = {.domain = domain,.has_time = data->has_times};

	draw_row(data, i, &row);
	unit_domain_of(data, i, domain, sizeof(domain));
	facts.domain_length = strlen(domain);
	facts.label = row.label;
	facts.weight = data->is_weightless ? 0.0 : row.weight;
	facts.time = (double) (i / 2);	/* ties */
	if (data->n_valid > 0)
		facts.split = i < data->n_rows - data->n_valid ? MML_SPLIT_TRAIN : MML_SPLIT_VALID;
	MML_TRY(mml_rows_begin(rows));
	MML_TRY(unit_put_values(rows, data, i));
	return mml_rows_end_training(rows, &facts);
}

mml_status
unit_push_scoring(mml_rows *rows, const unit_data *data, size_t i)
{
	char		domain[32];

	unit_domain_of(data, i, domain, sizeof(domain));
	MML_TRY(mml_rows_begin(rows));
	MML_TRY(unit_put_values(rows, data, i));
	return mml_rows_end_scoring(rows, domain, strlen(domain));
}

/* ------------------------------------------------------------------- train */

static mml_status
push_all(mml_rows *rows, const unit_data *data, uint64_t order)
{
	uint32_t   *place = malloc((data->n_rows + 1) * sizeof(uint32_t));
	mml_status	status = MML_OK;

	for (size_t i = 0; i < data->n_rows; i++)
		place[i] = (uint32_t) i;
	if (order != 0)
		mml_shuffle(order, place, data->n_rows);
	for (size_t i = 0; status == MML_OK && i < data->n_rows; i++)
		status = unit_push_training(rows, data, place[i]);
	free(place);
	return status;
}

mml_status
unit_open_rows(mml_host *host, const mml_config *config, const unit_data *data, mml_rows **rows)
{
	mml_field_spec specs[UNIT_MAX_FEATURES];
	int			n_specs = unit_specs(data, specs);
	mml_model  *previous;
	mml_status	status;

	MML_TRY(mml_rows_create_training(host, config, specs, n_specs, rows));
	if (data->previous == NULL)
		return MML_OK;
	status = unit_load(host, data->previous, &previous);
	if (status == MML_OK)
		status = data->added == NULL ? mml_rows_start_from(*rows, previous, 3) :
			mml_rows_add_domain(*rows, previous, 3, data->added, strlen(data->added));
	if (status != MML_OK)
	{
		mml_rows_free(*rows);
		*rows = NULL;
	}
	return status;
}

mml_status
unit_rows(mml_host *host, const mml_config *config, const unit_data *data, uint64_t order, mml_rows **rows)
{
	mml_status	status;

	MML_TRY(unit_open_rows(host, config, data, rows));
	status = push_all(*rows, data, order);
	if (status == MML_OK)
		status = mml_rows_finish(*rows);
	if (status != MML_OK)
	{
		mml_rows_free(*rows);
		*rows = NULL;
	}
	return status;
}

mml_status
unit_train(mml_host *host, const mml_config *config, const unit_data *data, uint64_t order, mml_model **model)
{
	mml_rows   *rows;
	mml_status	status;

	*model = NULL;
	MML_TRY(unit_rows(host, config, data, order, &rows));
	status = mml_train(host, rows, config, model);
	mml_rows_free(rows);
	return status;
}

/* ------------------------------------------------------------------- bytes */

static mml_status
append(void *self, const void *bytes, size_t n)
{
	unit_bytes *to = self;

	if (to->n + n > to->held)
	{
		to->held = (to->n + n) * 2;
		to->at = realloc(to->at, to->held);
	}
	memcpy(to->at + to->n, bytes, n);
	to->n += n;
	return MML_OK;
}

static mml_status
fetch(void *self, void *bytes, size_t n)
{
	unit_bytes *from = self;

	if (n > from->n - from->next)
		return MML_BAD_MODEL;	/* the reader of the core must not ask for more than there is */
	memcpy(bytes, from->at + from->next, n);
	from->next += n;
	return MML_OK;
}

mml_status
unit_save(mml_host *host, const mml_model *model, unit_bytes *bytes)
{
	mml_writer	writer = {.self = bytes,.write = append};

	memset(bytes, 0, sizeof(*bytes));
	return mml_model_save(host, model, &writer);
}

mml_status
unit_load(mml_host *host, const unit_bytes *bytes, mml_model **model)
{
	unit_bytes	from = *bytes;
	mml_reader	reader = {.self = &from,.total = bytes->n,.read = fetch};

	from.next = 0;
	return mml_model_load(host, &reader, model);
}

bool
unit_same_bytes(const unit_bytes *a, const unit_bytes *b)
{
	return a->n == b->n && memcmp(a->at, b->at, a->n) == 0;
}

void
unit_bytes_free(unit_bytes *bytes)
{
	free(bytes->at);
	memset(bytes, 0, sizeof(*bytes));
}

void
unit_train_and_save(unit_host *unit, const char *what, const mml_config *config, const unit_data *data, uint64_t order,
					unit_bytes *bytes)
{
	mml_model  *model;

	memset(bytes, 0, sizeof(*bytes));
	unit_check(unit_train(&unit->host, config, data, order, &model) == MML_OK &&
			   unit_save(&unit->host, model, bytes) == MML_OK, "%s: %s, %s", what, unit_error(&unit->host),
			   unit->host.error.detail);
	mml_model_free(model);
}

/* --------------------------------------------------------------- everything */

static mml_status
score_first(mml_host *host, const mml_model *model, const unit_data *data)
{
	mml_model_facts facts;
	mml_scorer *scorer;
	float		scores[8];
	mml_status	status;

	mml_model_get_facts(model, &facts);
	MML_TRY(mml_scorer_create(host, model, facts.served, 8, 0, &scorer));
	status = MML_OK;
	for (size_t i = 0; status == MML_OK && i < 16 && i < data->n_rows; i++)
	{
		status = unit_push_scoring(mml_scorer_rows(scorer), data, i);
		if (status == MML_OK && mml_rows_full(mml_scorer_rows(scorer)))
			status = mml_score(scorer, scores);
	}
	mml_scorer_free(scorer);
	return status;
}

mml_status
unit_whole_way(mml_host *host, const mml_config *config, const unit_data *data)
{
	mml_model  *model;
	mml_model  *loaded;
	unit_bytes	bytes;
	mml_status	status;

	MML_TRY(unit_train(host, config, data, 1, &model));
	status = unit_save(host, model, &bytes);
	mml_model_free(model);
	if (status == MML_OK)
		status = unit_load(host, &bytes, &loaded);
	unit_bytes_free(&bytes);
	if (status != MML_OK)
		return status;
	status = score_first(host, loaded, data);
	mml_model_free(loaded);
	return status;
}
