/*
 * sample.c - a sample of rows that does not depend on their order.
 *
 * Kept are the contents (features, domain, label) of the smallest hashes, at most
 * as many as rows are wanted, each with the number of rows that have it.  Since
 * the largest hash that may stay only falls, a content that is there in the end
 * was there from its first row on, and its count is exact.  Of the rows that
 * the kept contents stand for the sample takes some at even steps.
 */
#include <string.h>

#include "mml_profile.h"
#include "mml_sample.h"

#define PAGE_SHIFT 12			/* rows of a page */

/* ------------------------------------------------------------------ create */

static mml_status
create_store(const mml_sample *sample, mml_rows **rows)
{
	const mml_model *model = sample->model;

	MML_TRY(mml_rows_create_scoring(sample->host, model->fields, model->n_fields, model->names,
									model->config.unknown_domain, 2 * sample->most, rows));
	(*rows)->row_shift = MML_MIN((*rows)->row_shift, PAGE_SHIFT);
	return MML_OK;
}

mml_status
mml_sample_create(mml_host *host, const mml_model *model, size_t most, mml_sample **sample)
{
	mml_status	status;

	MML_TRY(MML_NEW(host, *sample, 1));
	(*sample)->host = host;
	(*sample)->model = model;
	(*sample)->most = MML_MIN(MML_MAX(most, 1), UINT32_MAX / 4);
	(*sample)->limit = UINT64_MAX;
	status = create_store(*sample, &(*sample)->rows);
	if (status != MML_OK)
	{
		mml_sample_free(*sample);
		*sample = NULL;
	}
	return status;
}

void
mml_sample_free(mml_sample *sample)
{
	mml_host   *host;

	if (sample == NULL)
		return;
	host = sample->host;
	mml_rows_free(sample->rows);
	mml_release(host, sample->kept);
	mml_release(host, sample->order);
	mml_release(host, sample->labels);
	mml_release(host, sample->starts);
	mml_release(host, sample->donors);
	mml_release(host, sample->scores);
	mml_release(host, sample->placements);
	for (int i = 0; i < 2; i++)
	{
		mml_release(host, sample->base[i]);
		mml_release(host, sample->mean[i]);
	}
	mml_release(host, sample);
}

mml_rows *
mml_sample_rows(mml_sample *sample)
{
	return sample->rows;
}

size_t
mml_sample_count(const mml_sample *sample)
{
	return sample->n;
}

uint64_t
mml_sample_seen(const mml_sample *sample)
{
	return sample->seen;
}

/* -------------------------------------------------------------------- take */

static uint64_t
hash_of_row(const mml_rows *rows, size_t row)
{
	const uint32_t *record = mml_rows_record(rows, row);
	uint64_t	hash = rows->vector_words == 0 ? 0 :
		mml_hash_bytes(mml_rows_vectors(rows, row), rows->vector_words * sizeof(float), 1);

	for (int f = 0; f < rows->n_fields - 1; f++)
	{
		const mml_field *field = &rows->fields[f];
		const uint32_t *ids;

		if (field->kind == MML_MULTI)
		{
			uint32_t	n = mml_profile_ids(rows, row, field, &ids);

			hash = mml_combine(hash, mml_hash_bytes(ids, n * sizeof(uint32_t), n));
		}
		else if (field->kind != MML_VECTOR)
			hash = mml_combine(hash, record[field->slot]);
	}
	return hash;
}

/*
 * Row `from` of `store` as the next of `to`, feature `feature` as in row `donor`
 * (-1: none).
 */
static mml_status
copy_row(mml_rows *to, const mml_rows *store, size_t from, int feature, size_t donor)
{
	const uint32_t *record = mml_rows_record(store, from);
	uint32_t	domain = record[MML_ROW_DOMAIN];

	MML_TRY(mml_rows_begin(to));
	memcpy(to->record, record, store->row_words * sizeof(uint32_t));
	if (store->vector_words > 0)
		memcpy(to->vectors, mml_rows_vectors(store, from), store->vector_words * sizeof(float));
	for (int f = 0; f < store->n_fields - 1; f++)
	{
		const mml_field *field = &store->fields[f];
		size_t		source = f == feature ? donor : from;
		const uint32_t *ids;

		if (field->kind == MML_MULTI)
		{
			uint32_t	n = mml_profile_ids(store, source, field, &ids);

			MML_TRY(mml_put_items_begin(to, f));
			for (uint32_t i = 0; i < n; i++)
				MML_TRY(mml_put_item_id(to, f, ids[i]));
		}
		else if (f == feature && field->kind == MML_VECTOR)
			memcpy(to->vectors + field->vector_start, mml_rows_vectors(store, donor) + field->vector_start,
				   field->width * sizeof(float));
		else if (f == feature)
			memcpy(to->record + field->slot, mml_rows_record(store, donor) + field->slot,
				   (field->kind == MML_NUMERIC ? 2 : 1) * sizeof(uint32_t));
	}
	mml_rows_end_raw(to, 0.0f, 1.0f, domain, 0);
	return MML_OK;
}

/* space->order: the rows by their keys, so that those of one content stand together. */
static mml_status
sort_kept(mml_sample *sample, mml_metric_space *space)
{
	size_t		n = sample->rows->n_rows;

	for (size_t i = 0; i < n; i++)
	{
		space->keys[i] = sample->kept[i].key;
		space->order[i] = (uint32_t) i;
	}
	return mml_sort(sample->host, space->keys, space->order, space->spare_keys, space->spare_order, n);
}

/* The contents of the smallest keys into a new store, in the order of the keys. */
static mml_status
move_kept(mml_sample *sample, const mml_metric_space *space, mml_rows *store, mml_sampled *kept)
{
	size_t		n = sample->rows->n_rows;

	for (size_t i = 0; i < n; i++)
	{
		const mml_sampled *row = &sample->kept[space->order[i]];
		bool		is_new = store->n_rows == 0 || kept[store->n_rows - 1].key != row->key;

		if (is_new && store->n_rows == sample->most)
			break;
		if (is_new)
		{
			MML_TRY(copy_row(store, sample->rows, space->order[i], -1, 0));
			kept[store->n_rows - 1] = *row;
		}
		else
			kept[store->n_rows - 1].count += row->count;
	}
	if (store->n_rows == sample->most)
		sample->limit = kept[sample->most - 1].key;
	return mml_poll(sample->host);
}

/* Makes room: equal rows become one, and contents that are too many go. */
static mml_status
compact(mml_sample *sample)
{
	size_t		n = sample->rows->n_rows;
	mml_metric_space space;
	mml_rows   *store = NULL;
	mml_sampled *kept = NULL;
	mml_status	status = mml_metric_space_create(sample->host, n, &space);

	if (status == MML_OK)
		status = sort_kept(sample, &space);
	if (status == MML_OK)
		status = create_store(sample, &store);
	if (status == MML_OK)
		status = MML_NEW(sample->host, kept, n);
	if (status == MML_OK)
		status = move_kept(sample, &space, store, kept);
	mml_metric_space_free(sample->host, &space);
	if (status != MML_OK)
	{
		mml_rows_free(store);
		mml_release(sample->host, kept);
		return status;
	}
	mml_rows_free(sample->rows);
	mml_release(sample->host, sample->kept);
	sample->rows = store;
	sample->item_end = store->item_end;
	sample->kept = kept;
	sample->kept_held = n;
	return MML_OK;
}

mml_status
mml_sample_take(mml_sample *sample, float label, const char *domain, size_t length, int number)
{
	mml_rows   *rows = sample->rows;
	size_t		row = rows->n_rows - 1;
	uint64_t	facts = mml_combine(mml_order_of_double(label), mml_hash_bytes(domain, length, 0));
	uint64_t	key = mml_combine(hash_of_row(rows, row), facts);

	sample->seen++;
	if (key > sample->limit)
	{
		rows->n_rows--;
		rows->item_end = sample->item_end;
		return MML_OK;
	}
	MML_TRY(mml_grow(sample->host, (void **) &sample->kept, &sample->kept_held, row, row + 1, sizeof(mml_sampled)));
	sample->kept[row] = (mml_sampled) {.key = key,.count = 1,.label = label,.domain = number};
	sample->item_end = rows->item_end;
	return mml_rows_full(rows) ? compact(sample) : MML_OK;
}

/* ------------------------------------------------------------------ finish */

/* How many of the n places at even steps lie before so many of all rows. */
static size_t
places_before(uint64_t rows, uint64_t total, size_t n)
{
	return rows == total ? n : MML_MIN(n, (size_t) ((double) rows * ((double) n / (double) total)));
}

/* Rows that each content gives: those of the places that fall into it. */
static size_t
share_of(uint64_t before, uint64_t count, uint64_t total, size_t n)
{
	if (total == n)
		return (size_t) count;
	return places_before(before + count, total, n) - places_before(before, total, n);
}

static mml_status
allocate_order(mml_sample *sample, int n_domains)
{
	MML_TRY(MML_NEW(sample->host, sample->order, sample->n));
	MML_TRY(MML_NEW(sample->host, sample->labels, sample->n));
	MML_TRY(MML_NEW(sample->host, sample->donors, sample->n));
	MML_TRY(MML_NEW(sample->host, sample->scores, sample->n));
	MML_TRY(MML_NEW(sample->host, sample->placements, sample->n));
	for (int i = 0; i < 2; i++)
	{
		MML_TRY(MML_NEW(sample->host, sample->base[i], sample->n));
		MML_TRY(MML_NEW(sample->host, sample->mean[i], sample->n));
	}
	return MML_NEW(sample->host, sample->starts, (size_t) n_domains + 2);
}

mml_status
mml_sample_finish(mml_sample *sample, const int *ranks, int n_domains)
{
	uint64_t	total = 0;
	uint64_t	before = 0;
	size_t	   *starts;

	if (sample->rows->n_rows > 0)
		MML_TRY(compact(sample));
	for (size_t i = 0; i < sample->rows->n_rows; i++)
	{
		total += sample->kept[i].count;
		sample->kept[i].domain = ranks[sample->kept[i].domain];
	}
	sample->n = (size_t) MML_MIN(total, sample->most);
	sample->n_domains = n_domains;
	MML_TRY(allocate_order(sample, n_domains));
	starts = sample->starts;
	for (size_t i = 0; i < sample->rows->n_rows; before += sample->kept[i].count, i++)
		starts[sample->kept[i].domain + 2] += share_of(before, sample->kept[i].count, total, sample->n);
	for (int d = 0; d < n_domains; d++)
		starts[d + 2] += starts[d + 1];
	before = 0;
	for (size_t i = 0; i < sample->rows->n_rows; before += sample->kept[i].count, i++)
	{
		const mml_sampled *kept = &sample->kept[i];

		for (size_t left = share_of(before, kept->count, total, sample->n); left > 0; left--)
		{
			sample->order[starts[kept->domain + 1]] = (uint32_t) i;
			sample->labels[starts[kept->domain + 1]++] = kept->label;
		}
	}
	return MML_OK;
}

mml_status
mml_sample_score(mml_sample *sample, mml_scorer *scorer, int feature)
{
	mml_rows   *rows = mml_scorer_rows(scorer);
	size_t		done = 0;

	for (size_t i = 0; i < sample->n; i++)
	{
		MML_TRY(copy_row(rows, sample->rows, sample->order[i], feature, sample->order[sample->donors[i]]));
		if (!mml_rows_full(rows))
			continue;
		MML_TRY(mml_score(scorer, sample->scores + done));
		done = i + 1;
	}
	return mml_score(scorer, sample->scores + done);
}
