/*
 * share.c - a training that several processes take part in: what they need of
 * each other lies in the run's arena, and each makes its own run of the image
 * there.
 */
#include <string.h>

#include "mml_train.h"

#define LOG_MOST ((uint64_t) 1 << 18)	/* epochs of experts; of more the leader hears nothing */

/* -------------------------------------------------------------- the leader */

static uint64_t
logged_epochs(const mml_run *run)
{
	uint64_t	epochs = (uint64_t) run->params->shape.n_experts * ((uint64_t) run->config.epochs + 1);

	return run->size > 1 && epochs <= LOG_MOST ? epochs : 0;
}

uint64_t
mml_share_bytes(const mml_run *run)
{
	return sizeof(mml_run) + (uint64_t) run->params->n_tensors * sizeof(mml_tensor) +
		(run->n_row_pages + run->n_vector_pages + run->n_item_pages) * sizeof(mml_ref) +
		(uint64_t) run->params->shape.n_experts * (sizeof(mml_cursor) + sizeof(uint32_t)) + sizeof(mml_control) + sizeof(mml_course) +
		logged_epochs(run) * sizeof(mml_epoch);
}

static mml_status
share_pages(mml_run *run, const mml_ref *pages, size_t n, mml_ref *shared)
{
	MML_TRY(mml_arena_alloc(run->arena, n, sizeof(mml_ref), shared));
	if (n > 0)
		memcpy(mml_arena_at(run->arena, *shared), pages, n * sizeof(mml_ref));
	return MML_OK;
}

mml_status
mml_share_tables(mml_run *run)
{
	const mml_rows *rows = run->rows;
	size_t		n = (size_t) run->params->n_tensors;

	MML_TRY(share_pages(run, rows->row_pages, rows->n_row_pages, &run->row_pages));
	MML_TRY(share_pages(run, rows->vector_pages, rows->n_vector_pages, &run->vector_pages));
	MML_TRY(share_pages(run, rows->item_pages, rows->n_item_pages, &run->item_pages));
	MML_TRY(mml_arena_alloc(run->arena, n, sizeof(mml_tensor), &run->tensors));
	memcpy(mml_arena_at(run->arena, run->tensors), run->params->tensors, n * sizeof(mml_tensor));
	MML_TRY(mml_arena_alloc(run->arena, (size_t) logged_epochs(run), sizeof(mml_epoch), &run->epoch_log));
	return mml_arena_alloc(run->arena, 1, sizeof(mml_run), &run->image);
}

void
mml_share_image(mml_run *run)
{
	memcpy(mml_arena_at(run->arena, run->image), run, sizeof(*run));
}

size_t
mml_run_rows(const mml_run *run)
{
	return run->n_train;
}

size_t
mml_run_bytes(const mml_run *run)
{
	return (size_t) run->bytes;
}

size_t
mml_run_own_bytes(const mml_run *run)
{
	const mml_host *host = run->host;

	return host->memory_limit == 0 ? 0 : (host->memory_limit - host->memory_used) / (size_t) run->size;
}

int
mml_run_blocks(const mml_run *run, void *const **blocks, const void **image)
{
	*blocks = (void *const *) run->arena->block;
	*image = mml_arena_at(run->arena, run->image);
	return (int) run->arena->n_blocks;
}

/* -------------------------------------------------------------- the others */

/* The tensors as the leader declared them, where this process sees them. */
static mml_status
attach_params(mml_run *run)
{
	const mml_tensor *shared = mml_arena_at(run->arena, run->tensors);

	MML_TRY(mml_params_declare(run->host, &run->shape, mml_arena_at(run->arena, run->layout), &run->params));
	for (int32_t i = 0; i < run->params->n_tensors; i++)
	{
		mml_tensor *tensor = &run->params->tensors[i];

		tensor->value = shared[i].value;
		tensor->moment_m = shared[i].moment_m;
		tensor->moment_v = shared[i].moment_v;
		tensor->gradient = shared[i].gradient;
		tensor->best = shared[i].best;
		tensor->average = shared[i].average;
		tensor->kept = shared[i].kept;
	}
	return MML_OK;
}

mml_status
mml_run_attach(mml_host *host, void *const *blocks, int n, const void *image, mml_run **run)
{
	mml_arena  *arena;
	mml_status	status;

	*run = NULL;
	MML_TRY(MML_NEW(host, arena, 1));
	mml_arena_init(arena, host);
	for (int i = 0; i < n; i++)
		arena->block[i] = blocks[i];
	arena->n_blocks = (uint32_t) n;
	status = MML_NEW(host, *run, 1);
	if (status != MML_OK)
	{
		mml_release(host, arena);
		return status;
	}
	memcpy(*run, image, sizeof(**run));
	(*run)->host = host;
	(*run)->rows = NULL;
	(*run)->params = NULL;
	(*run)->arena = arena;
	status = attach_params(*run);
	if (status != MML_OK)
	{
		mml_run_free(*run);
		*run = NULL;
	}
	return status;
}

/* --------------------------------------------------------------------- log */

mml_epoch *
mml_share_epoch(const mml_run *run, int expert, int epoch)
{
	mml_epoch  *log = mml_arena_at(run->arena, run->epoch_log);

	return log == NULL || run->size == 1 ? NULL : &log[(size_t) expert * ((size_t) run->config.epochs + 1) + (size_t) epoch];
}
