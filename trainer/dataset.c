/*
 * dataset.c - from rows as they came in to a data set that does not depend on
 * their order: canonical row order, split, canonical ids, standardised numbers
 * (MODELS.md sections 1 and 5).
 *
 * Rows stay where they are; `order` says which is which.  A row's side of the
 * split follows from its content and the seed alone, so it keeps its side when
 * other rows come and go.
 */
#include <math.h>
#include <string.h>

#include "mml_profile.h"

#define ROWS_PER_POLL 4096
#define SPLIT_STREAM 0x73706C6974ULL

/* ------------------------------------------------------------------- order */

static mml_status
poll_rows(mml_rows *rows, size_t row)
{
	return row % ROWS_PER_POLL == ROWS_PER_POLL - 1 ? mml_poll(rows->host) : MML_OK;
}

static uint64_t
hash_of(const mml_rows *rows, size_t row)
{
	uint64_t	hash;

	memcpy(&hash, mml_rows_record(rows, row) + MML_ROW_HASH, sizeof(hash));
	return hash;
}

/* order: [n_rows] rows by their hash; keys: the hashes in that order. */
static mml_status
canonical_order(mml_rows *rows, uint64_t *keys)
{
	size_t		n = rows->n_rows;
	uint64_t   *spare_keys = NULL;
	uint32_t   *spare_order = NULL;
	mml_status	status;

	MML_TRY(MML_NEW(rows->host, rows->order, n));
	for (size_t i = 0; i < n; i++)
	{
		keys[i] = hash_of(rows, i);
		rows->order[i] = (uint32_t) i;
		MML_TRY(poll_rows(rows, i));
	}
	status = MML_NEW(rows->host, spare_keys, n);
	if (status == MML_OK)
		status = MML_NEW(rows->host, spare_order, n);
	if (status == MML_OK)
		status = mml_sort(rows->host, keys, rows->order, spare_keys, spare_order, n);
	mml_release(rows->host, spare_keys);
	mml_release(rows->host, spare_order);
	return status;
}

/* ------------------------------------------------------------------- split */

static void
set_split(mml_rows *rows, size_t row, mml_split split)
{
	mml_rows_record(rows, row)[MML_ROW_SPLIT] = (uint32_t) split;
}

static uint32_t
split_of(const mml_rows *rows, size_t row)
{
	return mml_rows_record(rows, row)[MML_ROW_SPLIT];
}

/* Draws a row's side by its content: the hash and, among equal rows, which of them it is. */
static mml_split
draw_split(const mml_rows *rows, uint64_t stream, uint64_t hash, uint64_t occurrence)
{
	double		u = mml_uniform(stream, mml_combine(hash, occurrence));

	return u < rows->config.validation ? MML_SPLIT_VALID : MML_SPLIT_TRAIN;
}

static mml_status
split_by_share(mml_rows *rows, const uint64_t *keys)
{
	uint64_t	stream = mml_combine((uint64_t) rows->config.seed, SPLIT_STREAM);
	uint64_t	occurrence = 0;
	size_t		n_validating = 0;

	for (size_t i = 0; i < rows->n_rows; i++)
	{
		mml_split	split;

		if (i > 0 && keys[i] != keys[i - 1])
			occurrence = 0;
		MML_TRY(poll_rows(rows, i));
		if (split_of(rows, rows->order[i]) != MML_SPLIT_AUTO)
			continue;
		split = draw_split(rows, stream, keys[i], occurrence++);
		set_split(rows, rows->order[i], split);
		n_validating += split == MML_SPLIT_VALID;
	}
	/* a handful of rows may all be drawn for validation: then they train */
	for (size_t i = 0; n_validating == rows->n_rows && i < rows->n_rows; i++)
		set_split(rows, i, MML_SPLIT_TRAIN);
	return MML_OK;
}

/* The newest share validates; rows as old as the newest training row train too. */
static mml_status
split_by_time(mml_rows *rows, uint64_t *keys)
{
	size_t		n = rows->n_rows;
	size_t		n_train = n - (size_t) floor(rows->config.validation * (double) n);
	uint64_t   *spare_keys = NULL;
	uint32_t   *by_time = NULL;
	uint32_t   *spare = NULL;
	mml_status	status;

	status = MML_NEW(rows->host, spare_keys, n);
	if (status == MML_OK)
		status = MML_NEW(rows->host, by_time, n);
	if (status == MML_OK)
		status = MML_NEW(rows->host, spare, n);
	for (size_t i = 0; status == MML_OK && i < n; i++)
	{
		keys[i] = mml_order_of_double(rows->times[i]);
		by_time[i] = (uint32_t) i;
	}
	if (status == MML_OK)
		status = mml_sort(rows->host, keys, by_time, spare_keys, spare, n);
	for (size_t i = 0; status == MML_OK && i < n; i++)
	{
		set_split(rows, by_time[i], n_train > 0 && keys[i] <= keys[n_train - 1] ? MML_SPLIT_TRAIN : MML_SPLIT_VALID);
		status = poll_rows(rows, i);
	}
	mml_release(rows->host, spare_keys);
	mml_release(rows->host, by_time);
	mml_release(rows->host, spare);
	return status;
}

static mml_status
split_rows(mml_rows *rows, uint64_t *keys)
{
	MML_TRY(rows->has_times ? split_by_time(rows, keys) : split_by_share(rows, keys));
	rows->n_train = 0;
	for (size_t i = 0; i < rows->n_rows; i++)
	{
		rows->n_train += split_of(rows, i) == MML_SPLIT_TRAIN;
		MML_TRY(poll_rows(rows, i));
	}
	rows->n_valid = rows->n_rows - rows->n_train;
	if (rows->n_train > 0)
		return MML_OK;
	(void) mml_fail(rows->host, MML_BAD_DATA, "no rows to train on");
	mml_fail_detail(rows->host, "All %zu rows are validation rows.", rows->n_rows);
	mml_fail_hint(rows->host, "Mark some of them \"train\" in the split column.");
	return MML_BAD_DATA;
}

/* --------------------------------------------------------------------- ids */

static uint32_t *
items_of(const mml_rows *rows, const uint32_t *slot)
{
	if (slot[1] == 0)
		return NULL;
	return (uint32_t *) mml_arena_at(&rows->arena, rows->item_pages[slot[0] >> MML_ITEM_SHIFT]) +
		(slot[0] & (((uint32_t) 1 << MML_ITEM_SHIFT) - 1));
}

static void
count_slot(const mml_rows *rows, const mml_field *field, const uint32_t *slot, uint32_t *counts)
{
	const uint32_t *ids = field->kind == MML_MULTI ? items_of(rows, slot) : slot;
	uint32_t	n = field->kind == MML_MULTI ? slot[1] : 1;

	for (uint32_t i = 0; i < n; i++)
		if (ids[i] >= MML_ID_FIRST)
			counts[ids[i] - MML_ID_FIRST]++;
}

static void
rename_slot(const mml_rows *rows, const mml_field *field, uint32_t *slot, const uint32_t *to_final)
{
	uint32_t   *ids = field->kind == MML_MULTI ? items_of(rows, slot) : slot;
	uint32_t	n = field->kind == MML_MULTI ? slot[1] : 1;

	for (uint32_t i = 0; i < n; i++)
		if (ids[i] >= MML_ID_FIRST)
			ids[i] = to_final[ids[i] - MML_ID_FIRST];
}

/* One field: counts its values in the training rows, freezes, renames. */
static mml_status
settle_vocabulary(mml_rows *rows, int f)
{
	mml_field  *field = &rows->fields[f];
	uint32_t   *counts;
	uint32_t   *to_final = NULL;
	mml_status	status;

	MML_TRY(MML_NEW(rows->host, counts, field->vocabulary.n));
	status = MML_NEW(rows->host, to_final, field->vocabulary.n);
	for (size_t i = 0; status == MML_OK && i < rows->n_rows; i++)
	{
		if (split_of(rows, i) == MML_SPLIT_TRAIN)
			count_slot(rows, field, mml_rows_record(rows, i) + field->slot, counts);
		status = poll_rows(rows, i);
	}
	mml_warm_keep_values(rows, f, counts);
	if (status == MML_OK)
		status = mml_vocabulary_freeze(rows->host, &field->vocabulary, counts,
									   (uint32_t) rows->config.min_count, to_final);
	for (size_t i = 0; status == MML_OK && i < rows->n_rows; i++)
	{
		rename_slot(rows, field, mml_rows_record(rows, i) + field->slot, to_final);
		status = poll_rows(rows, i);
	}
	mml_release(rows->host, counts);
	mml_release(rows->host, to_final);
	return status;
}

static mml_status
count_domains(mml_rows *rows)
{
	for (size_t i = 0; i < rows->n_rows; i++)
	{
		if (split_of(rows, i) == MML_SPLIT_TRAIN)
			rows->names->entries[mml_rows_record(rows, i)[MML_ROW_DOMAIN] - 1].rows++;
		MML_TRY(poll_rows(rows, i));
	}
	return MML_OK;
}

/* Gives a row its domain's final id and counts it there. */
static void
rename_domain(mml_rows *rows, size_t row, const uint32_t *to_final)
{
	uint32_t   *record = mml_rows_record(rows, row);
	uint32_t	index = to_final[record[MML_ROW_DOMAIN] - 1];
	float		label;

	record[MML_ROW_DOMAIN] = index == UINT32_MAX ? 0 : index + 1;
	if (index == UINT32_MAX)
		return;
	memcpy(&label, &record[MML_ROW_LABEL], sizeof(label));
	rows->names->entries[index].rows++;
	rows->names->entries[index].positives += label > 0.5f;
	rows->names->entries[index].valid_rows += record[MML_ROW_SPLIT] == MML_SPLIT_VALID;
}

/* The domains of the training rows; a domain of validation rows only is unknown. */
static mml_status
settle_domains(mml_rows *rows)
{
	mml_names  *names = rows->names;
	uint32_t   *to_final;
	mml_status	status;

	MML_TRY(count_domains(rows));
	MML_TRY(MML_NEW(rows->host, to_final, names->n));
	status = mml_names_settle(rows->host, names, to_final);
	for (uint32_t d = 0; status == MML_OK && d < names->n; d++)
		names->entries[d].rows = 0;
	for (size_t i = 0; status == MML_OK && i < rows->n_rows; i++)
	{
		rename_domain(rows, i, to_final);
		status = poll_rows(rows, i);
	}
	mml_release(rows->host, to_final);
	return status;
}

/* ----------------------------------------------------------------- numbers */

typedef struct moments
{
	int			field;
	double		count;
	double		sum;			/* of x in the first pass, of (x - mean)^2 in the second */
	double		lost;			/* what rounding took from the sum (Neumaier) */
	double		lowest;
	double		highest;
} moments;

/* Large numbers that differ little, a time in seconds say, need every bit of their mean. */
static void
add_number(moments *to, double x)
{
	double		sum = to->sum + x;

	to->lost += fabs(to->sum) >= fabs(x) ? (to->sum - sum) + x : (x - sum) + to->sum;
	to->sum = sum;
}

static void
add_first(moments *to, double x)
{
	to->lowest = to->count > 0.0 ? MML_MIN(to->lowest, x) : x;
	to->highest = to->count > 0.0 ? MML_MAX(to->highest, x) : x;
	to->count += 1.0;
	add_number(to, x);
}

/* Adds every training row in canonical order, so that the sums do not depend on arrival. */
static mml_status
add_moments(mml_rows *rows, moments *of, int n, bool is_second)
{
	for (size_t i = 0; i < rows->n_rows; i++)
	{
		const uint32_t *record = mml_rows_record(rows, rows->order[i]);

		MML_TRY(poll_rows(rows, i));
		if (record[MML_ROW_SPLIT] != MML_SPLIT_TRAIN)
			continue;
		for (int j = 0; j < n; j++)
		{
			const mml_field *field = &rows->fields[of[j].field];
			double		x;

			memcpy(&x, record + field->slot, sizeof(x));
			if (isnan(x))
				continue;
			if (is_second)
				add_number(&of[j], (x - field->mean) * (x - field->mean));
			else
				add_first(&of[j], x);
		}
	}
	return MML_OK;
}

static void
set_mean(mml_field *field, moments *of)
{
	field->mean = of->count > 0.0 ? (of->sum + of->lost) / of->count : 0.0;
	of->sum = of->lost = 0.0;
}

/* Constant, never seen, or sums beyond a double's range: z = 0, whatever comes. */
static void
set_scale(mml_field *field, const moments *of)
{
	double		inverse = 1.0 / sqrt((of->sum + of->lost) / of->count);
	bool		is_sound = of->highest > of->lowest && isfinite(field->mean) && isfinite(inverse);

	if (!field->standardize || !is_sound)
		field->mean = 0.0;
	field->inverse_std = !field->standardize ? 1.0 : is_sound ? inverse : 0.0;
}

static mml_status
write_z(mml_rows *rows, const moments *of, int n)
{
	for (size_t i = 0; i < rows->n_rows; i++)
	{
		uint32_t   *record = mml_rows_record(rows, i);

		MML_TRY(poll_rows(rows, i));
		for (int j = 0; j < n; j++)
		{
			const mml_field *field = &rows->fields[of[j].field];
			double		x;
			float		number[2];	/* z, and the number itself */

			memcpy(&x, record + field->slot, sizeof(x));
			number[0] = isnan(x) ? 0.0f : (float) ((x - field->mean) * field->inverse_std);
			number[1] = (float) x;
			memcpy(record + field->slot, number, sizeof(number));
		}
	}
	return MML_OK;
}

static mml_status
standardize(mml_rows *rows)
{
	moments    *of;
	int			n = 0;
	mml_status	status;

	MML_TRY(MML_NEW(rows->host, of, (size_t) rows->n_fields));
	for (int f = 0; f < rows->n_fields; f++)
		if (rows->fields[f].kind == MML_NUMERIC)
			of[n++].field = f;
	status = n == 0 ? MML_OK : add_moments(rows, of, n, false);
	for (int j = 0; j < n; j++)
		set_mean(&rows->fields[of[j].field], &of[j]);
	if (status == MML_OK && n > 0)
		status = add_moments(rows, of, n, true);
	for (int j = 0; j < n; j++)
		set_scale(&rows->fields[of[j].field], &of[j]);
	mml_warm_keep_scales(rows);
	if (status == MML_OK && n > 0)
		status = write_z(rows, of, n);
	mml_release(rows->host, of);
	return status;
}

/* ------------------------------------------------------------------ finish */

/* Puts the rows into `order`; next: [domains] where the validation rows of each go. */
static mml_status
place_rows(mml_rows *rows, size_t *next, uint32_t *order)
{
	size_t		n_train = 0;

	for (size_t i = 0; i < rows->n_rows; i++)
	{
		uint32_t	row = rows->order[i];

		if (split_of(rows, row) == MML_SPLIT_TRAIN)
			order[n_train++] = row;
		else
			order[next[mml_rows_record(rows, row)[MML_ROW_DOMAIN]]++] = row;
		MML_TRY(poll_rows(rows, i));
	}
	return MML_OK;
}

/* Counts the validation rows of each domain, and turns the counts into places. */
static mml_status
find_places(mml_rows *rows, size_t *next, size_t n_domains)
{
	size_t		at = rows->n_train;

	for (size_t i = 0; i < rows->n_rows; i++)
	{
		if (split_of(rows, i) == MML_SPLIT_VALID)
			next[mml_rows_record(rows, i)[MML_ROW_DOMAIN]]++;
		MML_TRY(poll_rows(rows, i));
	}
	for (size_t d = 0; d < n_domains; d++)
	{
		size_t		count = next[d];

		next[d] = at;
		at += count;
	}
	return MML_OK;
}

/* Training rows in canonical order, then validation rows by domain and canonical order. */
static mml_status
final_order(mml_rows *rows)
{
	size_t		n_domains = (size_t) rows->names->n + 1;
	size_t	   *next;
	uint32_t   *order = NULL;
	mml_status	status;

	MML_TRY(MML_NEW(rows->host, next, n_domains));
	status = MML_NEW(rows->host, order, rows->n_rows);
	if (status == MML_OK)
		status = find_places(rows, next, n_domains);
	if (status == MML_OK)
		status = place_rows(rows, next, order);
	mml_release(rows->host, next);
	if (status != MML_OK)
	{
		mml_release(rows->host, order);
		return status;
	}
	mml_release(rows->host, rows->order);
	rows->order = order;
	return MML_OK;
}

static mml_status
settle_fields(mml_rows *rows)
{
	for (int f = 0; f < rows->n_fields; f++)
	{
		mml_field  *field = &rows->fields[f];

		if (mml_field_has_vocabulary(field))
			MML_TRY(settle_vocabulary(rows, f));
		if (field->kind == MML_VECTOR && field->width == 0)
		{
			(void) mml_fail(rows->host, MML_BAD_DATA, "vector feature \"%s\" is NULL in every row", field->name);
			mml_fail_hint(rows->host, "Leave it out of the features.");
			return MML_BAD_DATA;
		}
	}
	MML_TRY(settle_domains(rows));
	for (int f = 0; f < rows->n_fields; f++)
		rows->fields[f].table_rows = rows->fields[f].is_domain ? rows->names->n + 1 : mml_field_table_rows(&rows->fields[f]);
	return MML_OK;
}

mml_status
mml_rows_finish(mml_rows *rows)
{
	uint64_t   *keys;
	mml_status	status;

	if (rows->n_rows == 0)
		return mml_fail(rows->host, MML_BAD_DATA, "no rows to train on");
	MML_TRY(MML_NEW(rows->host, keys, rows->n_rows));
	status = canonical_order(rows, keys);
	if (status == MML_OK)
		status = split_rows(rows, keys);
	mml_release(rows->host, keys);
	MML_TRY(status);
	mml_release(rows->host, rows->times);
	rows->times = NULL;
	MML_TRY(settle_fields(rows));
	MML_TRY(standardize(rows));
	MML_TRY(final_order(rows));
	MML_TRY(mml_profile_rows(rows));
	rows->is_finished = true;
	return MML_OK;
}

bool
mml_rows_validates(const mml_rows *rows, size_t row, float *label, int *domain)
{
	const uint32_t *record = mml_rows_record(rows, row);

	if (record[MML_ROW_SPLIT] != MML_SPLIT_VALID)
		return false;
	memcpy(label, &record[MML_ROW_LABEL], sizeof(*label));
	*domain = (int) record[MML_ROW_DOMAIN] - 1;
	return true;
}

mml_status
mml_rows_assign_experts(mml_rows *rows, const mml_config *config)
{
	size_t		n_domains = (size_t) rows->names->n;
	size_t		added = mml_added_domain(rows);

	if (rows->domain_expert == NULL)
		MML_TRY(MML_NEW(rows->host, rows->domain_expert, n_domains + 1));
	rows->domain_expert[0] = -1;
	rows->n_experts = 0;
	for (size_t d = 0; d < n_domains; d++)
	{
		mml_domain *domain = &rows->names->entries[d];
		bool		has_experts = config->method != MML_BACKBONE &&
			(domain->rows - domain->valid_rows >= config->min_domain_rows || mml_warm_expert(rows, (uint32_t) d) >= 0 ||
			 d + 1 == added);

		domain->first_expert = has_experts ? rows->n_experts : -1;
		rows->domain_expert[d + 1] = domain->first_expert;
		if (has_experts)
			rows->n_experts += config->experts_per_domain;
	}
	return MML_OK;
}
