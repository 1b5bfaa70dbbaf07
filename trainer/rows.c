/*
 * rows.c - rows as they come in, encoded at once: to train on (vocabularies
 * learn) or to score (vocabularies look up).  The record is drawn in
 * mml_layers.h.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "mml_profile.h"

#define TRAINING_ROW_SHIFT 12
#define ITEM_PAGE ((size_t) 1 << MML_ITEM_SHIFT)

/* ------------------------------------------------------------------ create */

/* Gives every field its slot. */
void
mml_rows_init_layout(mml_rows *rows)
{
	uint32_t	word = MML_ROW_HEAD;
	uint32_t	vector_word = 0;

	for (int f = 0; f < rows->n_fields; f++)
	{
		mml_field  *field = &rows->fields[f];

		field->slot = word;
		field->vector_start = vector_word;
		if (field->is_domain)
			field->slot = MML_ROW_DOMAIN;
		else if (field->kind == MML_VECTOR)
			vector_word += field->width;
		else
			word += field->kind == MML_CATEGORICAL ? 1 : 2;
	}
	rows->row_words = word;
	rows->vector_words = vector_word;
}

static mml_status
create_rows(mml_host *host, int n_fields, mml_rows **rows)
{
	MML_TRY(MML_NEW(host, *rows, 1));
	(*rows)->host = host;
	(*rows)->n_fields = n_fields;
	mml_arena_init(&(*rows)->arena, host);
	return MML_OK;
}

static mml_status
fill_training(mml_rows *rows, const mml_field_spec *specs, int n_specs)
{
	mml_field_spec domain = {.name = "domain",.kind = MML_CATEGORICAL};

	rows->owns_fields = true;
	MML_TRY(MML_NEW(rows->host, rows->fields, (size_t) rows->n_fields));
	MML_TRY(MML_NEW(rows->host, rows->names, 1));
	for (int f = 0; f < n_specs; f++)
	{
		MML_TRY(mml_field_copy_spec(rows->host, &rows->fields[f], &specs[f]));
		if (specs[f].kind == MML_VECTOR && !specs[f].project &&
			specs[f].width != 0 && specs[f].width != (uint32_t) rows->config.embedding_dim)
			return mml_fail(rows->host, MML_BAD_OPTION,
							"vector feature \"%s\" without projection must have length %d (embedding_dim), not %u",
							specs[f].name, rows->config.embedding_dim, specs[f].width);
	}
	MML_TRY(mml_field_copy_spec(rows->host, &rows->fields[n_specs], &domain));
	rows->fields[n_specs].is_domain = 1;
	return MML_OK;
}

mml_status
mml_rows_create_training(mml_host *host, const mml_config *config,
						 const mml_field_spec *specs, int n_specs, mml_rows **rows)
{
	mml_status	status;

	*rows = NULL;
	if (n_specs < 1 || n_specs > MML_MAX_FEATURES)
		return mml_fail(host, MML_BAD_DATA, "a model needs 1 to %d features, not %d", MML_MAX_FEATURES, n_specs);
	MML_TRY(create_rows(host, n_specs + 1, rows));
	(*rows)->is_learning = true;
	(*rows)->config = *config;
	(*rows)->row_shift = TRAINING_ROW_SHIFT;
	status = fill_training(*rows, specs, n_specs);
	if (status != MML_OK)
	{
		mml_rows_free(*rows);
		*rows = NULL;
		return status;
	}
	mml_rows_init_layout(*rows);
	return MML_OK;
}

mml_status
mml_rows_create_scoring(mml_host *host, mml_field *fields, int n_fields, mml_names *names,
						int unknown_domain, size_t capacity, mml_rows **rows)
{
	MML_TRY(create_rows(host, n_fields, rows));
	(*rows)->fields = fields;
	(*rows)->names = names;
	(*rows)->unknown_domain = unknown_domain;
	(*rows)->capacity = capacity;
	while (((size_t) 1 << (*rows)->row_shift) < capacity)
		(*rows)->row_shift++;
	mml_rows_init_layout(*rows);
	return MML_NEW(host, (*rows)->waiting, (size_t) n_fields);
}

void
mml_rows_free(mml_rows *rows)
{
	mml_host   *host;

	if (rows == NULL)
		return;
	host = rows->host;
	if (rows->owns_fields)
	{
		for (int f = 0; rows->fields != NULL && f < rows->n_fields; f++)
			mml_field_free(host, &rows->fields[f]);
		if (rows->names != NULL)
			mml_names_free(host, rows->names);
		mml_release(host, rows->fields);
		mml_release(host, rows->names);
	}
	mml_model_free(rows->previous);
	mml_profile_free(host, rows->profile);
	mml_arena_free(&rows->arena);
	mml_release(host, rows->row_pages);
	mml_release(host, rows->vector_pages);
	mml_release(host, rows->item_pages);
	mml_release(host, rows->times);
	mml_release(host, rows->order);
	mml_release(host, rows->domain_expert);
	mml_release(host, rows->waiting);
	mml_release(host, rows->added);
	mml_release(host, rows);
}

size_t
mml_rows_count(const mml_rows *rows)
{
	return rows->n_rows;
}

bool
mml_rows_full(const mml_rows *rows)
{
	return rows->capacity != 0 && rows->n_rows == rows->capacity;
}

size_t
mml_rows_bytes(const mml_rows *rows)
{
	return mml_arena_bytes(&rows->arena) + sizeof(*rows);
}

void
mml_rows_reset(mml_rows *rows)
{
	rows->n_rows = 0;
	rows->item_end = 0;
}

/* ------------------------------------------------------------------- pages */

static mml_status
add_page(mml_rows *rows, mml_ref **pages, size_t *n_pages, size_t *held, size_t words)
{
	MML_TRY(mml_grow(rows->host, (void **) pages, held, *n_pages, *n_pages + 1, sizeof(mml_ref)));
	MML_TRY(mml_arena_alloc(&rows->arena, words, sizeof(uint32_t), &(*pages)[*n_pages]));
	(*n_pages)++;
	return MML_OK;
}

/* Where the next row goes. */
static mml_status
open_record(mml_rows *rows)
{
	size_t		page = rows->n_rows >> rows->row_shift;
	size_t		row_in_page = rows->n_rows & (((size_t) 1 << rows->row_shift) - 1);

	if (page == rows->n_row_pages)
		MML_TRY(add_page(rows, &rows->row_pages, &rows->n_row_pages, &rows->row_pages_held,
						 ((size_t) 1 << rows->row_shift) * rows->row_words));
	rows->record = (uint32_t *) mml_arena_at(&rows->arena, rows->row_pages[page]) + row_in_page * rows->row_words;
	if (rows->vector_words == 0)
		return MML_OK;
	if (page == rows->n_vector_pages)
		MML_TRY(add_page(rows, &rows->vector_pages, &rows->n_vector_pages, &rows->vector_pages_held,
						 ((size_t) 1 << rows->row_shift) * rows->vector_words));
	rows->vectors = (float *) mml_arena_at(&rows->arena, rows->vector_pages[page]) + row_in_page * rows->vector_words;
	return MML_OK;
}

mml_status
mml_rows_begin(mml_rows *rows)
{
	if (MML_UNLIKELY(mml_rows_full(rows)))
		return mml_fail(rows->host, MML_LIMIT, "more than %zu rows in one block", rows->capacity);
	if (MML_UNLIKELY(rows->n_rows >= UINT32_MAX - 1))
		return mml_fail(rows->host, MML_LIMIT, "more than %u rows to train on", UINT32_MAX - 1);
	rows->item_next = rows->item_end;
	rows->hash = 0;
	rows->n_waiting = 0;
	return open_record(rows);
}

/* ------------------------------------------------------------------ values */

/* The row's hash does not depend on the order of the puts. */
static void
add_hash(mml_rows *rows, int field, uint64_t value_hash)
{
	rows->hash += mml_combine((uint64_t) field + 1, value_hash);
}

static mml_status
wrong_kind(mml_rows *rows, const mml_field *field, const char *what)
{
	return mml_fail(rows->host, MML_BAD_DATA, "feature \"%s\" is %s and cannot take %s",
					field->name, mml_kind_name(field->kind), what);
}

/* The id of a category. */
static inline mml_status
id_of(mml_rows *rows, mml_field *field, uint64_t hash, uint32_t *id)
{
	if (field->hash_buckets > 0)
		*id = MML_ID_FIRST + (uint32_t) (mml_mix(hash) % field->hash_buckets);
	else if (rows->is_learning)
		return mml_vocabulary_learn(rows->host, &field->vocabulary, hash, id);
	else
		*id = mml_vocabulary_find(&field->vocabulary, hash);
	return MML_OK;
}

/* Gives the categories of the row to score their ids: all at once, so that they wait for memory together. */
static void
look_up(mml_rows *rows)
{
	for (int i = 0; i < rows->n_waiting; i++)
		mml_vocabulary_prefetch(&rows->fields[rows->waiting[i].field].vocabulary, rows->waiting[i].hash);
	for (int i = 0; i < rows->n_waiting; i++)
	{
		const mml_field *field = &rows->fields[rows->waiting[i].field];

		rows->record[field->slot] = mml_vocabulary_find(&field->vocabulary, rows->waiting[i].hash);
	}
	rows->n_waiting = 0;
}

static mml_status
put_category(mml_rows *rows, int f, uint64_t hash)
{
	mml_field  *field = &rows->fields[f];

	if (rows->is_learning)
		add_hash(rows, f, hash);
	else if (field->hash_buckets == 0 && rows->n_waiting < rows->n_fields)
	{
		mml_vocabulary_prefetch_start(&field->vocabulary, hash);
		rows->waiting[rows->n_waiting++] = (mml_waiting) {.field = f,.hash = hash};
		return MML_OK;
	}
	return id_of(rows, field, hash, &rows->record[field->slot]);
}

static void
store_double(uint32_t *slot, double value)
{
	memcpy(slot, &value, sizeof(value));
}

static void
store_float(uint32_t *slot, float value)
{
	memcpy(slot, &value, sizeof(value));
}

static void
store_number(uint32_t *slot, float z, float value)
{
	store_float(slot, z);
	store_float(slot + 1, value);
}

mml_status
mml_put_null(mml_rows *rows, int f)
{
	mml_field  *field = &rows->fields[f];
	uint32_t   *slot = &rows->record[field->slot];

	if (rows->is_learning)
		add_hash(rows, f, 0x6E756C6C);
	switch (field->kind)
	{
		case MML_CATEGORICAL:
			*slot = MML_ID_NULL;
			break;
		case MML_NUMERIC:
			if (rows->is_learning)
				store_double(slot, NAN);
			else
				store_number(slot, 0.0f, NAN);
			break;
		case MML_MULTI:
			slot[0] = slot[1] = 0;
			break;
		default:
			if (field->width > 0)
				memset(rows->vectors + field->vector_start, 0, field->width * sizeof(float));
	}
	return MML_OK;
}

static uint32_t
bucket_of(const mml_field *field, double value)
{
	uint32_t	low = 0;
	uint32_t	high = field->n_boundaries;

	while (low < high)
	{
		uint32_t	middle = (low + high) / 2;

		if (field->boundaries[middle] <= value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static mml_status
put_number(mml_rows *rows, int f, double value)
{
	mml_field  *field = &rows->fields[f];
	uint32_t   *slot = &rows->record[field->slot];
	double		z;

	if (rows->is_learning)
	{
		add_hash(rows, f, mml_order_of_double(value));
		store_double(slot, value);
		return MML_OK;
	}
	z = (value - field->mean) * field->inverse_std;
	if (MML_UNLIKELY(!(fabs(z) <= FLT_MAX)))
		return mml_fail(rows->host, MML_BAD_DATA, "feature \"%s\" is too far from the values of training", field->name);
	store_number(slot, (float) z, (float) value);
	return MML_OK;
}

mml_status
mml_put_real(mml_rows *rows, int f, double value)
{
	mml_field  *field = &rows->fields[f];

	if (MML_UNLIKELY(!isfinite(value)))
		return mml_fail(rows->host, MML_BAD_DATA, "feature \"%s\" is %s", field->name,
						isnan(value) ? "NaN" : "infinite");
	if (field->log1p)
		value = copysign(log1p(fabs(value)), value);
	if (field->kind == MML_NUMERIC)
		return put_number(rows, f, value);
	if (field->kind == MML_CATEGORICAL && field->n_boundaries > 0)
		return put_category(rows, f, mml_hash_integer(bucket_of(field, value)));
	return wrong_kind(rows, field, "a number");
}

mml_status
mml_put_integer(mml_rows *rows, int f, int64_t value)
{
	mml_field  *field = &rows->fields[f];

	if (field->kind == MML_CATEGORICAL && field->n_boundaries == 0)
		return put_category(rows, f, mml_hash_integer(value));
	return mml_put_real(rows, f, (double) value);
}

mml_status
mml_put_text(mml_rows *rows, int f, const char *text, size_t length)
{
	mml_field  *field = &rows->fields[f];

	if (field->kind == MML_CATEGORICAL && field->n_boundaries == 0)
		return put_category(rows, f, mml_hash_text(text, length));
	return wrong_kind(rows, field, "text");
}

/* ------------------------------------------------------------------- lists */

static uint32_t *
item_at(const mml_rows *rows, size_t item)
{
	return (uint32_t *) mml_arena_at(&rows->arena, rows->item_pages[item >> MML_ITEM_SHIFT]) + (item & (ITEM_PAGE - 1));
}

mml_status
mml_put_items_begin(mml_rows *rows, int f)
{
	mml_field  *field = &rows->fields[f];

	if (field->kind != MML_MULTI)
		return wrong_kind(rows, field, "an array of categories");
	rows->record[field->slot] = (uint32_t) rows->item_next;
	rows->record[field->slot + 1] = 0;
	rows->list_hash = 0x6C697374;
	return MML_OK;
}

/* A list that meets the end of its page moves to the next one, as a whole. */
static mml_status
move_list(mml_rows *rows, uint32_t *start, uint32_t n)
{
	size_t		page = ((*start >> MML_ITEM_SHIFT) + (n > 0 || *start % ITEM_PAGE ? 1 : 0));
	size_t		to = page << MML_ITEM_SHIFT;

	if (n == MML_MAX_ITEMS)
		return mml_fail(rows->host, MML_LIMIT, "an array has more than %d elements", MML_MAX_ITEMS);
	if (to + ITEM_PAGE > UINT32_MAX)
		return mml_fail(rows->host, MML_LIMIT, "more than %u array elements to train on", UINT32_MAX);
	if (page == rows->n_item_pages)
		MML_TRY(add_page(rows, &rows->item_pages, &rows->n_item_pages, &rows->item_pages_held, ITEM_PAGE));
	if (n > 0)
		memcpy(item_at(rows, to), item_at(rows, *start), n * sizeof(uint32_t));
	*start = (uint32_t) to;
	rows->item_next = to + n;
	return MML_OK;
}

mml_status
mml_put_item_id(mml_rows *rows, int f, uint32_t id)
{
	uint32_t   *slot = &rows->record[rows->fields[f].slot];

	if (rows->item_next % ITEM_PAGE == 0)
		MML_TRY(move_list(rows, &slot[0], slot[1]));
	*item_at(rows, rows->item_next++) = id;
	slot[1]++;
	return MML_OK;
}

static mml_status
put_item(mml_rows *rows, int f, uint64_t hash)
{
	uint32_t	id;

	MML_TRY(id_of(rows, &rows->fields[f], hash, &id));
	if (rows->is_learning)
		rows->list_hash = mml_combine(rows->list_hash, hash);
	return mml_put_item_id(rows, f, id);
}

mml_status
mml_put_item_integer(mml_rows *rows, int f, int64_t value)
{
	return put_item(rows, f, mml_hash_integer(value));
}

mml_status
mml_put_item_text(mml_rows *rows, int f, const char *text, size_t length)
{
	return put_item(rows, f, mml_hash_text(text, length));
}

mml_status
mml_put_items_end(mml_rows *rows, int f)
{
	if (rows->is_learning)
		add_hash(rows, f, rows->list_hash);
	return MML_OK;
}

/* ----------------------------------------------------------------- vectors */

/* One page of rows in vector records that have room for `width` numbers more at `start`. */
static void
widen_page(const mml_rows *rows, mml_ref old_page, mml_ref page, uint32_t old_words, uint32_t start, size_t width)
{
	float	   *from = mml_arena_at(&rows->arena, old_page);
	float	   *to = mml_arena_at(&rows->arena, page);

	for (size_t i = 0; i < (size_t) 1 << rows->row_shift; i++, from += old_words, to += rows->vector_words)
	{
		memcpy(to, from, start * sizeof(float));
		memcpy(to + start + width, from + start, (old_words - start) * sizeof(float));
	}
}

/* Moves the rows held so far to wider vector records; on failure all is as before. */
static mml_status
widen(mml_rows *rows, mml_field *field, size_t width)
{
	size_t		per_page = (size_t) 1 << rows->row_shift;
	uint32_t	old_words = rows->vector_words;
	uint32_t	start = field->vector_start;
	mml_ref    *pages = NULL;
	size_t		n_pages = 0;
	size_t		held = 0;
	mml_status	status = MML_OK;

	field->width = (uint32_t) width;
	mml_rows_init_layout(rows);
	for (size_t page = 0; status == MML_OK && page <= rows->n_rows >> rows->row_shift; page++)
	{
		status = add_page(rows, &pages, &n_pages, &held, per_page * rows->vector_words);
		if (status == MML_OK && page < rows->n_vector_pages)
		{
			widen_page(rows, rows->vector_pages[page], pages[page], old_words, start, width);
			status = mml_poll(rows->host);
		}
	}
	if (status != MML_OK)
	{
		mml_release(rows->host, pages);
		field->width = 0;
		mml_rows_init_layout(rows);
		return status;
	}
	mml_release(rows->host, rows->vector_pages);
	rows->vector_pages = pages;
	rows->n_vector_pages = n_pages;
	rows->vector_pages_held = held;
	return open_record(rows);
}

static mml_status
wrong_width(mml_rows *rows, const mml_field *field, size_t width)
{
	(void) mml_fail(rows->host, MML_BAD_DATA, "vector feature \"%s\" has length %zu instead of %u",
					field->name, width, field->width);
	if (rows->previous_version > 0)
		mml_fail_hint(rows->host, "Give vectors as long as those of version %d%s.", rows->previous_version,
					  rows->added == NULL ? ", or train without \"warm_start\"" : "");
	return MML_BAD_DATA;
}

/* The first value of a vector feature tells its width; rows before it had NULL or nothing. */
static mml_status
check_width(mml_rows *rows, const mml_field *field, size_t width)
{
	if (MML_LIKELY(field->width == width && width > 0))
		return MML_OK;
	if (field->width != 0)
		return wrong_width(rows, field, width);
	if (width < 1 || width > MML_MAX_WIDTH)
		return mml_fail(rows->host, MML_LIMIT, "vector feature \"%s\" has length %zu, allowed are 1 to %d",
						field->name, width, MML_MAX_WIDTH);
	if (!field->project && width != (size_t) rows->config.embedding_dim)
		return mml_fail(rows->host, MML_BAD_DATA,
						"vector feature \"%s\" without projection must have length %d (embedding_dim), not %zu",
						field->name, rows->config.embedding_dim, width);
	return MML_OK;
}

mml_status
mml_rows_set_width(mml_rows *rows, int f, size_t width)
{
	MML_TRY(check_width(rows, &rows->fields[f], width));
	return rows->fields[f].width == 0 ? widen(rows, &rows->fields[f], width) : MML_OK;
}

mml_status
mml_put_vector(mml_rows *rows, int f, const float *values, size_t width)
{
	mml_field  *field = &rows->fields[f];

	if (field->kind != MML_VECTOR)
		return wrong_kind(rows, field, "a vector");
	MML_TRY(check_width(rows, field, width));
	for (size_t i = 0; i < width; i++)
		if (MML_UNLIKELY(!isfinite(values[i])))
			return mml_fail(rows->host, MML_BAD_DATA, "vector feature \"%s\" has an element that is %s",
							field->name, isnan(values[i]) ? "NaN" : "infinite");
	if (MML_UNLIKELY(field->width == 0))
		MML_TRY(widen(rows, field, width));
	memcpy(rows->vectors + field->vector_start, values, width * sizeof(float));
	if (rows->is_learning)
		add_hash(rows, f, mml_hash_bytes(values, width * sizeof(float), 0));
	return MML_OK;
}

/* ---------------------------------------------------------------- row's end */

static mml_status
check_facts(mml_rows *rows, const mml_row_facts *facts)
{
	if (!(facts->label >= 0.0 && facts->label <= 1.0))
		return mml_fail(rows->host, MML_BAD_DATA, "label %g is not in [0, 1]", facts->label);
	if (!(facts->weight >= 0.0) || !isfinite((float) facts->weight))
		return mml_fail(rows->host, MML_BAD_DATA, "weight %g is not a finite number of at least 0", facts->weight);
	if (facts->has_time && isnan(facts->time))
		return mml_fail(rows->host, MML_BAD_DATA, "time is NaN");
	if (rows->n_rows > 0 && facts->has_time != rows->has_times)
		return mml_fail(rows->host, MML_BAD_DATA, "some rows have a time and others have none");
	return MML_OK;
}

static void
close_record(mml_rows *rows, float label, float weight, uint32_t domain, int split)
{
	store_float(&rows->record[MML_ROW_LABEL], label);
	store_float(&rows->record[MML_ROW_WEIGHT], weight);
	rows->record[MML_ROW_DOMAIN] = domain;
	rows->record[MML_ROW_SPLIT] = (uint32_t) split;
	memcpy(&rows->record[MML_ROW_HASH], &rows->hash, sizeof(rows->hash));
	rows->item_end = rows->item_next;
	rows->n_rows++;
}

mml_status
mml_rows_put_time(mml_rows *rows, double time)
{
	MML_TRY(mml_grow(rows->host, (void **) &rows->times, &rows->times_held, rows->n_rows,
					 rows->n_rows + 1, sizeof(double)));
	rows->times[rows->n_rows] = time;
	return MML_OK;
}

mml_status
mml_rows_end_training(mml_rows *rows, const mml_row_facts *facts)
{
	int64_t		index = mml_names_find(rows->names, facts->domain, facts->domain_length);
	uint64_t	facts_hash;

	MML_TRY(check_facts(rows, facts));
	if (index < 0)
	{
		uint32_t	added;

		MML_TRY(mml_names_add(rows->host, rows->names, facts->domain, facts->domain_length, &added));
		index = added;
	}
	if (facts->has_time)
		MML_TRY(mml_rows_put_time(rows, facts->time));
	rows->has_times = facts->has_time;
	rows->has_weights = rows->has_weights || facts->weight != 1.0;
	facts_hash = mml_combine(mml_order_of_double((float) facts->label), mml_order_of_double((float) facts->weight));
	add_hash(rows, -1, mml_combine(facts_hash, mml_hash_bytes(facts->domain, facts->domain_length, 0)));
	close_record(rows, (float) facts->label, (float) facts->weight, (uint32_t) index + 1, facts->split);
	return MML_OK;
}

mml_status
mml_rows_end_scoring(mml_rows *rows, const char *domain, size_t domain_length)
{
	uint32_t	id = (uint32_t) (mml_names_find(rows->names, domain, domain_length) + 1);

	look_up(rows);
	if (MML_UNLIKELY(id == 0))
	{
		if (rows->unknown_domain == MML_UNKNOWN_MEAN)
			id = MML_DOMAIN_MEAN;
		else if (rows->unknown_domain == MML_UNKNOWN_ERROR)
		{
			char		text[129];

			mml_copy_text(text, sizeof(text), domain, domain_length);
			(void) mml_fail(rows->host, MML_UNKNOWN_DOMAIN, "domain \"%s\" is unknown to the model", text);
			mml_fail_hint(rows->host, "Train a version with rows of this domain, or with \"unknown_domain\": \"backbone\".");
			return MML_UNKNOWN_DOMAIN;
		}
	}
	close_record(rows, 0.0f, 1.0f, id, 0);
	return MML_OK;
}

void
mml_rows_end_without_domain(mml_rows *rows)
{
	look_up(rows);
	close_record(rows, 0.0f, 1.0f, 0, 0);
}

/* --------------------------------------------------------------------- raw */

void
mml_put_id(mml_rows *rows, int f, uint32_t id)
{
	rows->record[rows->fields[f].slot] = id;
}

void
mml_put_z(mml_rows *rows, int f, float z)
{
	store_float(&rows->record[rows->fields[f].slot], z);
}

void
mml_rows_end_raw(mml_rows *rows, float label, float weight, uint32_t domain, int split)
{
	close_record(rows, label, weight, domain, split);
}
