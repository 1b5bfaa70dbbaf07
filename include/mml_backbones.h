/*
 * mml_backbones.h - what a backbone adds to the common network, and the tools
 * it is made of.  Private to trainer/ and its unit tests.
 *
 * The embeddings x come in, the tower's input h_0, a part of the logit and
 * perhaps a side block that stands before the tower's output in head.weight go
 * out (MODELS.md section 2).  A backbone is one line of the table in backbone.c;
 * what it does beyond passing x on is an interaction, a file of its own.
 *
 * Letters as in mml_layers.h; n_p = F (F - 1) / 2 pairs of fields i < j.
 */
#ifndef MML_BACKBONES_H
#define MML_BACKBONES_H

#include "mml_layers.h"

/* ---- net.c: pieces of one stretch of memory ---- */

/* Cuts pieces off a stretch of memory; without memory it only counts. */
typedef struct mml_carver
{
	char	   *memory;
	size_t		used;
} mml_carver;

/* n x size bytes, aligned to 64; NULL while counting. */
extern void *mml_cut(mml_carver *from, size_t n, size_t size);

/* ---- params.c ---- */

/* Adds a dense tensor of the backbone to the table; its index. */
extern int32_t mml_declare(mml_params *params, const char *name, uint64_t rows, uint64_t cols, mml_init_kind init);

/* The same named <before><layer><after>. */
extern int32_t mml_declare_layer(mml_params *params, const char *before, int layer, const char *after,
								 uint64_t rows, uint64_t cols, mml_init_kind init);

/* ---- jobs.c ---- */

/* One job for a whole dense tensor. */
extern mml_status mml_plan_whole(mml_job_list *list, mml_job_function run, int32_t tensor);

/* Jobs of some rows each. */
extern mml_status mml_plan_tiles(mml_job_list *list, mml_job_function run, int32_t tensor);

/* Jobs of `tile` rows each: for tensors whose rows come in groups. */
extern mml_status mml_plan_groups(mml_job_list *list, mml_job_function run, int32_t tensor, uint64_t tile);

/* ---- an interaction ---- */

#define MML_WORK_PER_POLL ((size_t) 1 << 20)

/* Polls now and then, when every row costs about `work` operations. */
static inline mml_status
mml_poll_rows(const mml_net *net, size_t row, size_t work)
{
	return work >= MML_WORK_PER_POLL || row % (MML_WORK_PER_POLL / work) == 0 ? mml_poll(net->host) : MML_OK;
}

/* All but forward and backward may be NULL. */
typedef struct mml_interaction
{
	/* Names of the options that say its sizes, NULL-terminated. */
	const char *const *options;

	/* The first problem with them, or NULL. */
	const char *(*check) (const mml_config *config);

	/* Inputs of the tower for F fields d wide; NULL: h_0 = x. */
	uint64_t	(*h0_width) (uint64_t n_fields, uint64_t dim);

	/* Width of the side block. */
	uint64_t	(*side_width) (const mml_shape *shape);

	/* Declares its tensors and notes their places in params. */
	void		(*declare) (mml_params *params);

	/* Cuts its arrays of a batch; `has_backward`: those of backward too. */
	void		(*carve) (mml_carver *from, const mml_shape *shape, size_t capacity, bool has_backward, mml_batch *batch);

	/* Floats that one participant needs aside while it works (net->scratch). */
	size_t		(*scratch) (const mml_shape *shape);

	/* x of rows [start, start + n) -> h[0] where it is not x, side, logit += its term without side's */
	mml_status	(*forward) (const mml_net *net, mml_batch *batch, size_t start, size_t n);

	/* dh0, dlogit of the rows -> dx += */
	mml_status	(*backward) (const mml_net *net, mml_batch *batch, size_t start, size_t n);

	/* Plans the gradients of its tensors. */
	mml_status	(*plan) (mml_job_list *list);
} mml_interaction;

extern const mml_interaction mml_deepfm;	/* fm.c */
extern const mml_interaction mml_nfm;	/* fm.c */
extern const mml_interaction mml_product;	/* product.c: pnn */
extern const mml_interaction mml_cross; /* cross.c: dcn */
extern const mml_interaction mml_attention; /* attention.c: autoint */
extern const mml_interaction mml_cin;	/* cin.c: xdeepfm */
extern const mml_interaction mml_bilinear;	/* bilinear.c: fibinet */

/* The interaction of a shape's backbone, NULL for mlp and wdl. */
extern const mml_interaction *mml_interaction_of(const mml_shape *shape);

/* Gradient of a row's side block: dlogit x the part of head.weight before the tower's. */
extern void mml_side_backward(const mml_net *net, const mml_batch *batch, size_t row, float *dside);

#endif							/* MML_BACKBONES_H */
