/*
 * states.c - the states of a training's tensors: values, the best so far, the
 * average lately, the best start's, and Adam's moments.
 */
#include <string.h>

#include "mml_train.h"

#define COPY_CHUNK ((size_t) 65536) /* floats that one participant copies at a time */

/* a += share (b - a), and a logit of -infinity in both stays; what a is does not matter when share is 1 */
static void
move_towards(float *restrict a, const float *restrict b, float share, size_t n)
{
	if (share == 1.0f)
		memcpy(a, b, n * sizeof(float));
	for (size_t i = 0; share != 1.0f && i < n; i++)
		a[i] = a[i] == b[i] ? a[i] : a[i] + share * (b[i] - a[i]);
}

static void
swap(float *restrict a, float *restrict b, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		float		held = a[i];

		a[i] = b[i];
		b[i] = held;
	}
}

static void
copy_chunk(const mml_member *member, const mml_tensor *tensor, mml_copy what, size_t at, size_t n)
{
	const mml_arena *arena = member->run->arena;
	float	   *value = (float *) mml_arena_at(arena, tensor->value) + at;
	size_t		bytes = n * sizeof(float);

	switch (what)
	{
		case MML_COPY_VALUE_TO_BEST:
			memcpy((float *) mml_arena_at(arena, tensor->best) + at, value, bytes);
			break;
		case MML_COPY_BEST_TO_VALUE:
			memcpy(value, (float *) mml_arena_at(arena, tensor->best) + at, bytes);
			break;
		case MML_COPY_VALUE_TO_KEPT:
			memcpy((float *) mml_arena_at(arena, tensor->kept) + at, value, bytes);
			break;
		case MML_COPY_KEPT_TO_VALUE:
			memcpy(value, (float *) mml_arena_at(arena, tensor->kept) + at, bytes);
			break;
		case MML_COPY_CLEAR_MOMENTS:
			memset((float *) mml_arena_at(arena, tensor->moment_m) + at, 0, bytes);
			memset((float *) mml_arena_at(arena, tensor->moment_v) + at, 0, bytes);
			break;
		case MML_COPY_INTO_AVERAGE:
			move_towards((float *) mml_arena_at(arena, tensor->average) + at, value, member->average_share, n);
			break;
		case MML_COPY_SWAP_AVERAGE:
			swap(value, (float *) mml_arena_at(arena, tensor->average) + at, n);
	}
}

/* Tables that a training of one domain alone leaves as they are. */
static bool
is_frozen(const mml_run *run, const mml_tensor *tensor)
{
	return run->new_domain > 0 && tensor->group == MML_GROUP_TABLE && tensor->field != run->n_fields - 1;
}

mml_status
mml_copy_states(mml_member *member, uint32_t groups, mml_copy what)
{
	const mml_params *params = member->run->params;
	size_t		chunk = 0;

	for (int32_t i = 0; i < params->n_tensors; i++)
	{
		const mml_tensor *tensor = &params->tensors[i];
		size_t		n = (size_t) (tensor->rows * tensor->cols);

		if (!((uint32_t) tensor->group & groups) || is_frozen(member->run, tensor))
			continue;
		for (size_t at = 0; at < n; at += COPY_CHUNK, chunk++)
		{
			if (chunk % (size_t) member->team.size != (size_t) member->team.rank)
				continue;
			copy_chunk(member, tensor, what, at, MML_MIN(n - at, COPY_CHUNK));
			MML_TRY(mml_poll(member->host));
		}
	}
	return MML_OK;
}

void
mml_copy_expert(mml_member *member, int expert, mml_copy what)
{
	const mml_params *params = member->run->params;
	const mml_shape *shape = &params->shape;

	for (int l = 0; l < shape->n_layers; l++)
	{
		const mml_tensor *down = &params->tensors[params->down[l]];
		const mml_tensor *up = &params->tensors[params->up[l]];
		const mml_tensor *bias = &params->tensors[params->expert_bias[l]];
		size_t		r = (size_t) shape->rank[l];

		for (size_t i = 0; i < down->rows; i++)
			copy_chunk(member, down, what, i * down->cols + (size_t) expert * r, r);
		copy_chunk(member, up, what, (size_t) expert * r * up->cols, r * up->cols);
		copy_chunk(member, bias, what, (size_t) expert * bias->cols, bias->cols);
	}
}
