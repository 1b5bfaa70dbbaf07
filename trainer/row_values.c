/*
 * row_values.c - the values of a row, encoded as they are put: categories by
 * their ids, to train on (vocabularies learn) or to score (vocabularies look up),
 * numbers, lists of categories, vectors.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "mml_profile.h"

#define ITEM_PAGE ((size_t) 1 << MML_ITEM_SHIFT)

/* -------------------------------------------------------------- categories */

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

void
mml_rows_look_up(mml_rows *rows)
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
		mml_rows_add_hash(rows, f, hash);
	else if (field->hash_buckets == 0 && rows->n_waiting < rows->n_fields)
	{
		mml_vocabulary_prefetch_start(&field->vocabulary, hash);
		rows->waiting[rows->n_waiting++] = (mml_waiting) {.field = f,.hash = hash};
		return MML_OK;
	}
	return id_of(rows, field, hash, &rows->record[field->slot]);
}

/* ------------------------------------------------------------------ numbers */

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
		mml_rows_add_hash(rows, f, 0x6E756C6C);
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
		mml_rows_add_hash(rows, f, mml_order_of_double(value));
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
		MML_TRY(mml_rows_add_page(rows, &rows->item_pages, &rows->n_item_pages, &rows->item_pages_held, ITEM_PAGE));
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
		mml_rows_add_hash(rows, f, rows->list_hash);
	return MML_OK;
}

/* ----------------------------------------------------------------- vectors */

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
	return rows->fields[f].width == 0 ? mml_rows_widen(rows, &rows->fields[f], width) : MML_OK;
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
		MML_TRY(mml_rows_widen(rows, field, width));
	memcpy(rows->vectors + field->vector_start, values, width * sizeof(float));
	if (rows->is_learning)
		mml_rows_add_hash(rows, f, mml_hash_bytes(values, width * sizeof(float), 0));
	return MML_OK;
}

/* ---------------------------------------------------------- encoded before */

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
