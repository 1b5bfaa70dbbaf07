/*
 * score.c - scores blocks of rows with one model.  Rows are grouped by domain
 * and go, a batch of them at a time, through the domain's folded tower; one row
 * takes matrix-vector products, many take matrix products.  The more rows are
 * held, the more of them share a tower: rows of a hundred domains in turn cost
 * hardly more than rows of one.  A gate over the input cannot be folded: then
 * the experts run as they do in training.
 */
#include <math.h>
#include <string.h>

#include "mml_layers.h"

#define BATCH_ROWS 512			/* through the network at once: their numbers stay in the processor's cache */
#define LEAST_ROWS ((size_t) 8)	/* in a block, however wide they are */
#define ROWS_TO_COUNT 64		/* so many that rounding their memory up counts for little */
#define POLL_PRODUCTS ((size_t) 1 << 29)	/* multiplications between two polls: some 10 ms */

struct mml_scorer
{
	mml_host   *host;
	const mml_model *model;
	mml_pass	pass;
	bool		is_folded;
	mml_rows   *rows;
	mml_data	data;
	mml_net		net;
	mml_batch	batch;
	void	   *memory;			/* of the batch */
	mml_folds	folds;
	mml_recall	recall;
	size_t		rows_per_poll;
	size_t		n_item_pages;	/* that data.item_page knows */
	uint32_t   *index;			/* [capacity] 0, 1, 2, ... grouped by domain */
	uint32_t   *spare;			/* [capacity] */
	uint32_t   *counts;			/* [n_domain_ids + 1] */
	float	   *mean_embedding; /* [d] */
	uint32_t   *kept;			/* record of the row that is explained, and its vectors; NULL: none was */
};

/* ------------------------------------------------------------------ create */

/* Whether a domain's rows go through a tower without experts. */
static bool
is_folded(const mml_model *model, mml_mode mode)
{
	return mode != MML_MODE_GATE || model->config.gate == MML_GATE_DOMAIN;
}

/* The row that stands for an unknown domain: the mean of the known ones. */
static mml_status
mean_of_domains(mml_scorer *scorer)
{
	const mml_field_tensors *of = &scorer->net.params->of_field[scorer->net.shape.n_fields - 1];
	size_t		d = (size_t) scorer->net.shape.dim;
	uint32_t	n = scorer->data.n_domain_ids;

	MML_TRY(MML_NEW(scorer->host, scorer->mean_embedding, d));
	for (uint32_t id = 1; id < n; id++)
	{
		mml_axpy(d, 1.0f / (float) (n - 1), scorer->net.value[of->embedding] + (size_t) id * d, scorer->mean_embedding);
		if (of->linear >= 0)
			scorer->net.mean_linear += scorer->net.value[of->linear][id] / (float) (n - 1);
	}
	scorer->net.mean_embedding = scorer->mean_embedding;
	return MML_OK;
}

static mml_status
open_data(mml_scorer *scorer)
{
	const mml_model *model = scorer->model;
	const mml_rows *rows = scorer->rows;
	mml_data   *data = &scorer->data;

	data->n_fields = model->n_fields;
	data->layout = model->layout;
	data->row_shift = rows->row_shift;
	data->row_words = rows->row_words;
	data->vector_words = rows->vector_words;
	data->n_domain_ids = mml_model_domain_ids(model);
	data->domain_expert = model->domain_expert;
	data->expert_domain = model->expert_domain;
	MML_TRY(MML_NEW(scorer->host, data->row_page, 1));
	return MML_NEW(scorer->host, data->vector_page, 1);
}

/* So many rows that a cancel does not wait long for them. */
static size_t
count_rows_per_poll(const mml_shape *shape, bool is_folded)
{
	size_t		products = 1;	/* for a row */

	for (int l = 0; l < shape->n_layers; l++)
	{
		size_t		in = (size_t) shape->width[l];
		size_t		out = (size_t) shape->width[l + 1];
		size_t		ranks = is_folded ? 0 : (size_t) shape->rank[l] * (size_t) shape->n_experts;

		products += in * out + ranks * (in + out);
	}
	return MML_MAX(POLL_PRODUCTS / products, 1);
}

static mml_status
create_parts(mml_scorer *scorer, size_t capacity, size_t fold_limit)
{
	const mml_model *model = scorer->model;
	uint32_t	modes = MML_MODE_BIT(scorer->is_folded ? MML_MODE_BACKBONE : MML_MODE_GATE);
	size_t		batch_rows = MML_MIN(capacity, BATCH_ROWS);
	uint32_t	vector_words;
	size_t		bytes;

	MML_TRY(mml_rows_create_scoring(scorer->host, model->fields, model->n_fields, model->names,
									model->config.unknown_domain, capacity, &scorer->rows));
	MML_TRY(open_data(scorer));
	MML_TRY(mml_net_open(scorer->host, &scorer->net, model->params, &model->arena, &scorer->data, 0.0));
	MML_TRY(mean_of_domains(scorer));
	scorer->rows_per_poll = count_rows_per_poll(&scorer->net.shape, scorer->is_folded);
	vector_words = scorer->rows->vector_words;
	bytes = mml_batch_bytes(&model->params->shape, vector_words, batch_rows, modes, false);
	MML_TRY(mml_alloc(scorer->host, &scorer->memory, bytes, 1));
	mml_batch_carve(&model->params->shape, vector_words, batch_rows, modes, false, scorer->memory, &scorer->batch);
	MML_TRY(MML_NEW(scorer->host, scorer->index, capacity));
	MML_TRY(MML_NEW(scorer->host, scorer->spare, capacity));
	MML_TRY(MML_NEW(scorer->host, scorer->counts, (size_t) scorer->data.n_domain_ids + 2));
	if (scorer->is_folded)
		MML_TRY(mml_recall_create(scorer->host, &scorer->net.shape, &scorer->recall));
	return mml_folds_create(scorer->host, &scorer->net, scorer->is_folded ? scorer->pass.mode : MML_MODE_BACKBONE,
							fold_limit, &scorer->folds);
}

/*
 * The rows that are worth holding: where each domain has its tower many, so that
 * there are some of each.  The number does not depend on that of the domains: in
 * other blocks a row's score has other last bits, and a domain more shall change
 * none.  Rows and their numbers in the batch may take so many bytes.
 */
static size_t
count_rows_of_block(const mml_model *model, mml_mode mode, bool is_folded, size_t bytes)
{
	uint32_t	modes = MML_MODE_BIT(is_folded ? MML_MODE_BACKBONE : MML_MODE_GATE);
	mml_rows	layout = {.fields = model->fields,.n_fields = model->n_fields};
	size_t		most = is_folded && mode != MML_MODE_BACKBONE ? MML_SCORER_ROWS : BATCH_ROWS;
	size_t		held;
	size_t		in_batch;
	size_t		room;

	mml_rows_init_layout(&layout);
	held = (layout.row_words + layout.vector_words) * sizeof(uint32_t);
	in_batch = held + mml_batch_bytes(&model->params->shape, layout.vector_words, ROWS_TO_COUNT, modes, false) / ROWS_TO_COUNT;
	room = bytes < BATCH_ROWS * in_batch ? bytes / in_batch : BATCH_ROWS + (bytes - BATCH_ROWS * in_batch) / held;
	return MML_MAX(LEAST_ROWS, MML_MIN(room, most));
}

mml_status
mml_scorer_create_blocks(mml_host *host, const mml_model *model, mml_mode mode, size_t bytes, size_t fold_limit,
						 mml_scorer **scorer)
{
	return mml_scorer_create(host, model, mode, count_rows_of_block(model, mode, is_folded(model, mode), bytes),
							 fold_limit, scorer);
}

mml_status
mml_scorer_create(mml_host *host, const mml_model *model, mml_mode mode,
				  size_t capacity, size_t fold_limit, mml_scorer **scorer)
{
	mml_status	status;

	*scorer = NULL;
	if (mode == MML_MODE_EXPERT || (mode == MML_MODE_OWN && !model->facts.has_own) ||
		(mode == MML_MODE_GATE && !model->facts.has_gate))
		return mml_fail(host, MML_BAD_OPTION, "the model has no mode \"%s\"", mml_mode_name(mode));
	MML_TRY(MML_NEW(host, *scorer, 1));
	(*scorer)->host = host;
	(*scorer)->model = model;
	(*scorer)->pass.mode = mode;
	(*scorer)->pass.gate = (mml_gate) model->config.gate;
	(*scorer)->is_folded = is_folded(model, mode);
	status = create_parts(*scorer, MML_MAX(capacity, 1), fold_limit);
	if (status != MML_OK)
	{
		mml_scorer_free(*scorer);
		*scorer = NULL;
	}
	return status;
}

void
mml_scorer_free(mml_scorer *scorer)
{
	mml_host   *host;

	if (scorer == NULL)
		return;
	host = scorer->host;
	mml_folds_free(&scorer->folds);
	mml_recall_free(host, &scorer->recall);
	mml_rows_free(scorer->rows);
	mml_release(host, scorer->data.row_page);
	mml_release(host, scorer->data.vector_page);
	mml_release(host, scorer->data.item_page);
	mml_net_close(&scorer->net);
	mml_release(host, scorer->memory);
	mml_release(host, scorer->index);
	mml_release(host, scorer->spare);
	mml_release(host, scorer->counts);
	mml_release(host, scorer->mean_embedding);
	mml_release(host, scorer->kept);
	mml_release(host, scorer);
}

mml_rows *
mml_scorer_rows(mml_scorer *scorer)
{
	return scorer->rows;
}

static size_t
batch_bytes(const mml_scorer *scorer, size_t n_rows)
{
	return mml_batch_bytes(&scorer->net.shape, scorer->data.vector_words, n_rows,
						   MML_MODE_BIT(scorer->is_folded ? MML_MODE_BACKBONE : MML_MODE_GATE), false);
}

size_t
mml_scorer_bytes(const mml_scorer *scorer)
{
	return scorer->folds.bytes + (scorer->is_folded ? mml_recall_bytes(&scorer->net.shape) : 0) +
		mml_rows_bytes(scorer->rows) + sizeof(*scorer) + batch_bytes(scorer, scorer->batch.capacity);
}

size_t
mml_scorer_capacity(const mml_scorer *scorer)
{
	return scorer->rows->capacity;
}

/* ------------------------------------------------------------------- score */

/* Pages come with the rows: tell the data where they are. */
static mml_status
refresh_pages(mml_scorer *scorer)
{
	mml_rows   *rows = scorer->rows;

	scorer->data.row_page[0] = mml_arena_at(&rows->arena, rows->row_pages[0]);
	if (rows->n_vector_pages > 0)
		scorer->data.vector_page[0] = mml_arena_at(&rows->arena, rows->vector_pages[0]);
	if (rows->n_item_pages == scorer->n_item_pages)
		return MML_OK;
	mml_release(scorer->host, scorer->data.item_page);
	scorer->data.item_page = NULL;
	scorer->n_item_pages = 0;
	MML_TRY(MML_NEW(scorer->host, scorer->data.item_page, rows->n_item_pages));
	for (size_t i = 0; i < rows->n_item_pages; i++)
		scorer->data.item_page[i] = mml_arena_at(&rows->arena, rows->item_pages[i]);
	scorer->n_item_pages = rows->n_item_pages;
	return MML_OK;
}

/* index: the rows in ascending order of their domains; MML_DOMAIN_MEAN last. */
static void
group_rows(mml_scorer *scorer, size_t n)
{
	uint32_t	n_ids = scorer->data.n_domain_ids;
	uint32_t	sum = 0;

	scorer->index[0] = 0;
	if (n == 1)
		return;
	memset(scorer->counts, 0, ((size_t) n_ids + 2) * sizeof(uint32_t));
	for (size_t i = 0; i < n; i++)
	{
		scorer->spare[i] = MML_MIN(mml_data_record(&scorer->data, i)[MML_ROW_DOMAIN], n_ids);
		scorer->counts[scorer->spare[i]]++;
	}
	for (uint32_t d = 0; d <= n_ids; d++)
	{
		uint32_t	count = scorer->counts[d];

		scorer->counts[d] = sum;
		sum += count;
	}
	for (size_t i = 0; i < n; i++)
		scorer->index[scorer->counts[scorer->spare[i]]++] = (uint32_t) i;
}

/* Of the row that stands at a place of the index. */
static uint32_t
domain_at(const mml_scorer *scorer, size_t place)
{
	return mml_data_record(&scorer->data, scorer->index[place])[MML_ROW_DOMAIN];
}

static bool
has_same_tower(const mml_folds *folds, uint32_t a, uint32_t b)
{
	return a == b || (mml_folds_is_base(folds, a) && mml_folds_is_base(folds, b));
}

/* Each tower's rows through it, not too many at once. */
static mml_status
run_towers(mml_scorer *scorer, size_t n)
{
	mml_batch  *batch = &scorer->batch;

	for (size_t at = 0; at < n;)
	{
		mml_tower	tower;
		size_t		end = at + 1;

		while (end < n && end - at < scorer->rows_per_poll &&
			   has_same_tower(&scorer->folds, batch->domain[at], batch->domain[end]))
			end++;
		MML_TRY(mml_poll(scorer->host));
		MML_TRY(mml_folds_tower(&scorer->folds, batch->domain[at], &tower));
		mml_plain_tower(&scorer->net, &tower, &scorer->recall, batch, at, end - at);
		at = end;
	}
	return MML_OK;
}

/* The rows through the network as it is trained. */
static mml_status
run_net(mml_scorer *scorer, size_t n)
{
	for (size_t at = 0; at < n; at += scorer->rows_per_poll)
		MML_TRY(mml_net_forward(&scorer->net, &scorer->pass, &scorer->batch, at, MML_MIN(n - at, scorer->rows_per_poll)));
	return MML_OK;
}

/* Rows index[start], ..., index[start + n - 1]: no more than the batch has room for. */
static mml_status
run_batch(mml_scorer *scorer, size_t start, size_t n, float *logits)
{
	mml_batch  *batch = &scorer->batch;

	batch->row = scorer->index + start;
	batch->n = n;
	if (scorer->is_folded)
	{
		MML_TRY(mml_inputs_forward(&scorer->net, batch, 0, n));
		MML_TRY(run_towers(scorer, n));
	}
	else
		MML_TRY(run_net(scorer, n));
	for (size_t i = 0; i < n; i++)
		logits[batch->row[i]] = batch->logit[i];
	return MML_OK;
}

/*
 * The rows of one batch, of those from index[at] on: whole towers, and of one with
 * more rows than a batch has so many.  What rows go through a tower together does
 * not depend on those of other domains.
 */
static size_t
count_batch(const mml_scorer *scorer, size_t at, size_t n)
{
	size_t		end = at;

	while (end < n)
	{
		uint32_t	domain = domain_at(scorer, end);
		size_t		next = end + 1;

		while (next < n && next - end < BATCH_ROWS && has_same_tower(&scorer->folds, domain, domain_at(scorer, next)))
			next++;
		if (next - at > BATCH_ROWS)
			break;
		end = next;
	}
	return end - at;
}

mml_status
mml_score_logits(mml_scorer *scorer, float *logits)
{
	size_t		n = scorer->rows->n_rows;
	mml_status	status = MML_OK;

	if (n == 0)
		return MML_OK;
	MML_TRY(refresh_pages(scorer));
	group_rows(scorer, n);
	for (size_t at = 0, together; at < n && status == MML_OK; at += together)
	{
		together = n <= BATCH_ROWS ? n : count_batch(scorer, at, n);
		status = run_batch(scorer, at, together, logits);
	}
	mml_rows_reset(scorer->rows);
	return status;
}

mml_status
mml_refuse_score(mml_host *host)
{
	(void) mml_fail(host, MML_BAD_DATA, "the score of a row is not a number");
	mml_fail_detail(host, "A numeric or vector feature is too far from the values of training.");
	return MML_BAD_DATA;
}

mml_status
mml_score(mml_scorer *scorer, float *probabilities)
{
	size_t		n = scorer->rows->n_rows;

	MML_TRY(mml_score_logits(scorer, probabilities));
	for (size_t i = 0; i < n; i++)
	{
		probabilities[i] = (float) mml_sigmoid(probabilities[i]);
		if (MML_UNLIKELY(isnan(probabilities[i])))
			return mml_refuse_score(scorer->host);
	}
	return MML_OK;
}

/* ----------------------------------------------------------------- explain */

/* Copies the one row held. */
static mml_status
keep_row(mml_scorer *scorer)
{
	const mml_rows *rows = scorer->rows;

	if (scorer->kept == NULL)
		MML_TRY(MML_NEW(scorer->host, scorer->kept, (size_t) rows->row_words + rows->vector_words));
	memcpy(scorer->kept, mml_rows_record(rows, 0), rows->row_words * sizeof(uint32_t));
	if (rows->vector_words > 0)
		memcpy(scorer->kept + rows->row_words, mml_rows_vectors(rows, 0), rows->vector_words * sizeof(float));
	return MML_OK;
}

/*
 * The logit of the row kept without its features [first, end).  Its lists still
 * lie where they were: no row since then had any of its own.
 */
static mml_status
score_without(mml_scorer *scorer, int first, int end, double *logit)
{
	mml_rows   *rows = scorer->rows;
	float		value;

	mml_rows_reset(rows);
	MML_TRY(mml_rows_begin(rows));
	memcpy(rows->record, scorer->kept, rows->row_words * sizeof(uint32_t));
	if (rows->vector_words > 0)
		memcpy(rows->vectors, scorer->kept + rows->row_words, rows->vector_words * sizeof(float));
	for (int f = first; f < end; f++)
	{
		if (rows->fields[f].kind == MML_CATEGORICAL)
			mml_put_id(rows, f, MML_ID_UNKNOWN);
		else
			MML_TRY(mml_put_null(rows, f));
	}
	mml_rows_end_raw(rows, 0.0f, 1.0f, scorer->kept[MML_ROW_DOMAIN], 0);
	MML_TRY(mml_score_logits(scorer, &value));
	*logit = value;
	return isnan(value) ? mml_refuse_score(scorer->host) : MML_OK;
}

/* Of the row that was scored last. */
static void
get_weights(const mml_scorer *scorer, float *weights)
{
	size_t		e = (size_t) scorer->net.shape.n_experts;
	uint32_t	domain = scorer->kept[MML_ROW_DOMAIN];

	if (!scorer->is_folded)
		memcpy(weights, scorer->batch.g, e * sizeof(float));
	else if (domain != MML_DOMAIN_MEAN || scorer->pass.mode == MML_MODE_BACKBONE)
		mml_gate_weights(&scorer->net.shape, scorer->pass.mode,
						 scorer->pass.mode == MML_MODE_GATE ? scorer->net.value[scorer->net.params->gate_domain] : NULL,
						 domain == MML_DOMAIN_MEAN ? -1 : scorer->data.domain_expert[domain], weights);
	else
	{
		for (size_t i = 0; i < e; i++)
			weights[i] = 1.0f / (float) e;
	}
}

mml_status
mml_scorer_explain(mml_scorer *scorer, double *start, double *effects, float *weights)
{
	int			n_features = scorer->net.shape.n_fields - 1;
	double		logit;

	MML_TRY(keep_row(scorer));
	MML_TRY(score_without(scorer, 0, 0, &logit));
	get_weights(scorer, weights);
	MML_TRY(score_without(scorer, 0, n_features, start));
	for (int f = 0; f < n_features; f++)
	{
		double		rest;

		MML_TRY(score_without(scorer, f, f + 1, &rest));
		effects[f] = logit - rest;
	}
	return MML_OK;
}

mml_status
mml_scorer_embedding(mml_scorer *scorer, int field, float *embedding)
{
	size_t		d = (size_t) scorer->net.shape.dim;

	MML_TRY(refresh_pages(scorer));
	scorer->index[0] = 0;
	scorer->batch.row = scorer->index;
	mml_gather(&scorer->net, &scorer->batch, 0, 1);
	for (size_t j = 0; j < d; j++)
		embedding[j] = scorer->batch.x[(size_t) field * d + j] + 0.0f;	/* -0 becomes 0 */
	mml_rows_reset(scorer->rows);
	return MML_OK;
}
