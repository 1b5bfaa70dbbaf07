/*
 * rows.c - rows as they come in: their memory, and how each begins and ends.
 * What is put in between is encoded in row_values.c; the record is drawn in
 * mml_rows.h.
 */
#include <math.h>
#include <string.h>

#include "mml_profile.h"

#define TRAINING_ROW_SHIFT 12

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

mml_status
mml_rows_add_page(mml_rows *rows, mml_ref **pages, size_t *n_pages, size_t *held, size_t words)
{
	MML_TRY(mml_grow(rows->host, (void **) pages, held, *n_pages, *n_pages + 1, sizeof(mml_ref)));
	MML_TRY(mml_arena_alloc(&rows->arena, words, sizeof(uint32_t), &(*pages)[*n_pages]));
	(*n_pages)++;
	return MML_OK;
}

/* Rows to score have one page, of just their number. */
static size_t
rows_per_page(const mml_rows *rows)
{
	return rows->capacity != 0 ? rows->capacity : (size_t) 1 << rows->row_shift;
}

/* Where the next row goes. */
static mml_status
open_record(mml_rows *rows)
{
	size_t		page = rows->n_rows >> rows->row_shift;
	size_t		row_in_page = rows->n_rows & (((size_t) 1 << rows->row_shift) - 1);

	if (page == rows->n_row_pages)
		MML_TRY(mml_rows_add_page(rows, &rows->row_pages, &rows->n_row_pages, &rows->row_pages_held,
								  rows_per_page(rows) * rows->row_words));
	rows->record = (uint32_t *) mml_arena_at(&rows->arena, rows->row_pages[page]) + row_in_page * rows->row_words;
	if (rows->vector_words == 0)
		return MML_OK;
	if (page == rows->n_vector_pages)
		MML_TRY(mml_rows_add_page(rows, &rows->vector_pages, &rows->n_vector_pages, &rows->vector_pages_held,
								  rows_per_page(rows) * rows->vector_words));
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

mml_status
mml_rows_widen(mml_rows *rows, mml_field *field, size_t width)
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
		status = mml_rows_add_page(rows, &pages, &n_pages, &held, per_page * rows->vector_words);
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
	memcpy(&rows->record[MML_ROW_LABEL], &label, sizeof(label));
	memcpy(&rows->record[MML_ROW_WEIGHT], &weight, sizeof(weight));
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
	mml_rows_add_hash(rows, -1, mml_combine(facts_hash, mml_hash_bytes(facts->domain, facts->domain_length, 0)));
	close_record(rows, (float) facts->label, (float) facts->weight, (uint32_t) index + 1, facts->split);
	return MML_OK;
}

mml_status
mml_rows_end_scoring(mml_rows *rows, const char *domain, size_t domain_length)
{
	uint32_t	id = (uint32_t) (mml_names_find(rows->names, domain, domain_length) + 1);

	mml_rows_look_up(rows);
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
	mml_rows_look_up(rows);
	close_record(rows, 0.0f, 1.0f, 0, 0);
}

void
mml_rows_end_raw(mml_rows *rows, float label, float weight, uint32_t domain, int split)
{
	close_record(rows, label, weight, domain, split);
}
