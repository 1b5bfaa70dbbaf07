/*
 * mml_layers.h - the core's rooms around the network: backbones, parameters,
 * passes, optimiser, the model, folding.  Private to trainer/ and its unit tests.
 *
 * Letters: B rows of a batch, F fields (features, then domain last), d embedding
 * width, D domains, E experts, k experts a domain, r rank, R all ranks side by
 * side, L tower layers, in/out widths of a tower layer.
 */
#ifndef MML_LAYERS_H
#define MML_LAYERS_H

#include "mml_inner.h"
#include "mml_rows.h"

/* ---- backbone.c: the table of backbones; what each does is in mml_backbones.h ---- */

extern const char *const mml_backbone_names[];	/* NULL-terminated */
extern int	mml_backbone_find(const char *name);	/* -1 = no such name */

/* Names of the options that say the sizes of the backbone's own layers, NULL-terminated. */
extern const char *const *mml_backbone_options(const mml_config *config);

/* The first problem with the backbone's sizes, or NULL. */
extern const char *mml_backbone_check(const mml_config *config);

/* ---- params.c: one table of named tensors ---- */

typedef enum mml_group
{
	MML_GROUP_TABLE = 1,		/* embedding.* and linear.*: lazy Adam, L2 */
	MML_GROUP_BASE = 2,			/* every other tensor of the backbone */
	MML_GROUP_EXPERT = 4,
	MML_GROUP_GATE = 8,
	MML_GROUP_ALL = 15
} mml_group;

typedef enum mml_init_kind
{
	MML_INIT_ZERO, MML_INIT_EMBEDDING, MML_INIT_DOMAIN, MML_INIT_GLOROT_NORMAL,
	MML_INIT_GLOROT_UNIFORM, MML_INIT_GLOROT_SQUARES, MML_INIT_TRUNCATED, MML_INIT_GATE
} mml_init_kind;

/* What a tensor holds that has parts with names of their own: of experts, or the four projections of attention. */
typedef enum mml_part
{
	MML_PART_WHOLE, MML_PART_DOWN, MML_PART_UP, MML_PART_BIAS, MML_PART_PROJECTIONS
} mml_part;

/*
 * One tensor as it lies in memory, row-major and dense; plain data.  Experts
 * lie side by side: expert.tower.<l>.down [in, R], .up [R, out], .bias [E, out];
 * so do query, key, value and residual of one layer: attention.<l> [in, 4 heads w].
 */
typedef struct mml_tensor
{
	char		name[48];		/* of embedding., linear., projection. without the field's name */
	int32_t		field;			/* of these three: which; else -1 */
	int32_t		layer;			/* of tower.<l> and experts; else -1 */
	int32_t		group;			/* mml_group */
	int32_t		init;			/* mml_init_kind */
	int32_t		part;			/* mml_part */
	int32_t		reserved_rows;	/* rows at the top that start at 0 */
	uint64_t	rows;
	uint64_t	cols;
	mml_ref		value;			/* [rows, cols]; so all below */
	mml_ref		moment_m;		/* Adam's; none outside training */
	mml_ref		moment_v;
	mml_ref		gradient;		/* dense groups only */
	mml_ref		best;			/* best state of the phase at work */
	mml_ref		average;		/* of its states lately */
	mml_ref		kept;			/* state of the best start so far */
} mml_tensor;

/* Shapes that follow from configuration and data; plain data. */
typedef struct mml_shape
{
	int32_t		backbone;		/* index into the table */
	int32_t		n_fields;		/* F */
	int32_t		dim;			/* d */
	int32_t		x_width;		/* Fd */
	int32_t		side_width;		/* of the block before the tower's output in head.weight */
	int32_t		n_layers;		/* L */
	int32_t		width[MML_MAX_LAYERS + 1];	/* width[0] enters the tower, width[l + 1] = out of layer l */
	int32_t		rank[MML_MAX_LAYERS];	/* r of layer l */
	int32_t		n_experts;		/* E */
	int32_t		per_domain;		/* k */
	int32_t		has_gate_domain;
	int32_t		has_gate_input;
	int32_t		has_linear;
	int32_t		cross_layers;
	int32_t		attention_layers;
	int32_t		attention_heads;
	int32_t		attention_dim;
	int32_t		n_cin;
	int32_t		cin[MML_MAX_LAYERS];
} mml_shape;

/* Indexes into the tensor table; -1 = there is none. */
typedef struct mml_field_tensors
{
	int32_t		embedding;
	int32_t		linear;
	int32_t		projection;
} mml_field_tensors;

typedef struct mml_params
{
	mml_shape	shape;
	int32_t		n_tensors;
	mml_tensor *tensors;		/* [n_tensors] */
	mml_field_tensors *of_field;	/* [F] */
	int32_t		bias;
	int32_t		head;
	int32_t		gate_domain;
	int32_t		gate_input_weight;
	int32_t		gate_input_bias;
	int32_t		weight[MML_MAX_LAYERS];	/* tower.<l>.weight */
	int32_t		tower_bias[MML_MAX_LAYERS];
	int32_t		down[MML_MAX_LAYERS];
	int32_t		up[MML_MAX_LAYERS];
	int32_t		expert_bias[MML_MAX_LAYERS];
	int32_t		inner[2 * MML_MAX_LAYERS + 2];	/* of the interaction, as it likes */
} mml_params;

/* What a field is, for passes: plain data. */
typedef struct mml_layout
{
	int32_t		kind;
	int32_t		is_domain;
	int32_t		project;
	uint32_t	width;
	uint32_t	table_rows;
	uint32_t	slot;
	uint32_t	vector_start;
} mml_layout;

extern void mml_layout_of(const mml_field *field, mml_layout *layout);

#define MML_MAX_INPUTS (1 << 24)	/* of a tower */

/* The part of a shape that the backbone has a say in. */
extern void mml_shape_backbone(mml_shape *shape, const mml_config *config, int n_fields);

/* Whether the backbone can take so many fields: MML_LIMIT when a layer's input would be too wide. */
extern mml_status mml_shape_check(mml_host *host, const mml_config *config, int n_fields);

/* Fills the shape, once checked.  `n_experts` 0: no experts, no gate. */
extern void mml_shape_init(mml_shape *shape, const mml_config *config, int n_fields, int n_experts,
						   bool has_gate_domain, bool has_gate_input);

/* Declares every tensor of the model (names, shapes, groups); no memory for values yet. layout: [F]. */
extern mml_status mml_params_declare(mml_host *host, const mml_shape *shape, const mml_layout *layout, mml_params **params);
extern void mml_params_free(mml_host *host, mml_params *params);

/* What memory a set of tensors has besides the values. */
typedef enum mml_state
{
	MML_STATE_VALUE = 1,
	MML_STATE_MOMENTS = 2,
	MML_STATE_GRADIENT = 4,
	MML_STATE_BEST = 8,
	MML_STATE_KEPT = 16,
	MML_STATE_AVERAGE = 32
} mml_state;

/* Takes memory for the states of all tensors (gradients of dense groups only). */
extern mml_status mml_params_allocate(mml_params *params, mml_arena *arena, uint32_t states);

/* Numbers in the tensors of some groups. */
extern uint64_t mml_params_count(const mml_params *params, uint32_t groups);

/* Initial values of the tensors of some groups (MODELS.md section 4).  own_share: q of gate.domain. */
extern mml_status mml_params_initialize(mml_host *host, const mml_params *params, const mml_arena *arena,
										int64_t seed, uint32_t groups, double own_share);

/* A tensor's values, or with `is_gradient` its gradient, by the name of MODELS.md section 4. */
extern bool mml_params_view(const mml_params *params, const mml_arena *arena, const mml_field *fields,
							const char *name, bool is_gradient, mml_tensor_view *view);

/* ---- warm_values.c ---- */

/* Warm start: writes the values of the version before over initial ones, all groups; nothing without one. */
extern mml_status mml_warm_overlay(mml_host *host, const mml_rows *rows, const mml_params *params, const mml_arena *arena);

/* ---- net.c: forward and backward of one batch ---- */

/* Where a participant sees the rows. */
typedef struct mml_data
{
	int			n_fields;
	const mml_layout *layout;	/* [F] */
	int			row_shift;
	uint32_t	row_words;
	uint32_t	vector_words;
	uint32_t  **row_page;
	float	  **vector_page;
	uint32_t  **item_page;
	uint32_t	n_domain_ids;	/* rows of embedding.domain */
	const int32_t *domain_expert;	/* [n_domain_ids] first expert of a domain's id, -1 = none; ascends */
	const uint32_t *expert_domain;	/* [E / k] the domain's id of each k experts */
} mml_data;

static inline const uint32_t *
mml_data_record(const mml_data *data, size_t row)
{
	return data->row_page[row >> data->row_shift] +
		(row & (((size_t) 1 << data->row_shift) - 1)) * data->row_words;
}

static inline const float *
mml_data_vectors(const mml_data *data, size_t row)
{
	return data->vector_page[row >> data->row_shift] +
		(row & (((size_t) 1 << data->row_shift) - 1)) * data->vector_words;
}

/* The ids of a multi value, whose slot is given. */
static inline const uint32_t *
mml_data_items(const mml_data *data, const uint32_t *slot)
{
	return data->item_page[slot[0] >> MML_ITEM_SHIFT] + (slot[0] & (((uint32_t) 1 << MML_ITEM_SHIFT) - 1));
}

/*
 * One participant's view of the network: where each tensor lies in its own
 * address space.
 */
typedef struct mml_net
{
	mml_host   *host;
	mml_shape	shape;
	double		dropout;
	const mml_params *params;
	const mml_data *data;
	float	  **value;			/* [n_tensors], by index; so below */
	float	  **gradient;
	float	  **moment_m;
	float	  **moment_v;
	const float *mean_embedding;	/* scoring: [d], the row of MML_DOMAIN_MEAN; may be NULL */
	float		mean_linear;
	float	   *scratch;		/* this participant's alone, for the interaction */
	size_t		scratch_floats;
} mml_net;

/* Opens `params` where `arena` has them. */
extern mml_status mml_net_open(mml_host *host, mml_net *net, const mml_params *params, const mml_arena *arena,
							   const mml_data *data, double dropout);
extern void mml_net_close(mml_net *net);

/* What its interaction needs aside: floats of each participant. */
extern size_t mml_scratch_floats(const mml_shape *shape);

/* Consecutive rows of a batch that use the same experts. */
typedef struct mml_segment
{
	size_t		start;
	size_t		n;
	int32_t		first_expert;	/* -1 = none */
	int32_t		n_experts;
} mml_segment;

/*
 * The arrays of one batch.  Row b of each belongs to row b of the batch; slices
 * of rows are worked on by different participants.
 */
typedef struct mml_batch
{
	size_t		capacity;		/* rows */
	size_t		n;				/* rows now */
	double		total_weight;	/* sum of the rows' weights: the loss is divided by it */
	const uint32_t *row;		/* [B] indexes of the rows; to train, ascending by domain id */
	uint32_t   *domain;			/* [B] domain ids */
	float	   *label;			/* [B] */
	float	   *weight;			/* [B] */
	float	   *u;				/* [B, vector_words] vectors that are projected */
	float	   *x;				/* [B, Fd] the embeddings side by side */
	float	   *dx;
	float	   *h[MML_MAX_LAYERS + 1];	/* [B, width[l]]; h[0] may be x itself */
	float	   *dh0;			/* [B, width[0]] gradient at h[0]; is dx where h[0] is x */
	float	   *side;			/* [B, side_width] */
	float	   *base[MML_MAX_LAYERS];	/* [B, out] gradient at h_l W_l + c_l */
	float	   *pre[MML_MAX_LAYERS];	/* [B, out] gradient before ReLU, where experts are at work */
	float	   *t[MML_MAX_LAYERS];	/* [B, t_width] h_l down */
	float	   *tw[MML_MAX_LAYERS]; /* [B, t_width] weighed by g, in mode gate; see mml_weighed() */
	float	   *dt[MML_MAX_LAYERS];	/* [B, t_width] gradient at t */
	size_t		t_width[MML_MAX_LAYERS];
	float	   *g;				/* [B, E] gate weights */
	float	   *dg;				/* [B, E] gradient at them, in the end at the gate's logits */
	float	   *logit;			/* [B] */
	float	   *dlogit;			/* [B] gradient of the loss at the logit */
	double	   *loss;			/* [B] weight x cross-entropy */
	mml_inner	inner;			/* the interaction's */
} mml_batch;

/* How a pass weighs experts, and what it is for. */
typedef struct mml_pass
{
	mml_mode	mode;
	int			expert;			/* of MML_MODE_EXPERT */
	mml_gate	gate;			/* of MML_MODE_GATE */
	bool		is_training;	/* with dropout */
	uint32_t	groups;			/* whose gradients are wanted */
	uint32_t	only_domain;	/* id of the one whose row of gate.domain learns; 0 = all do */
	uint64_t	drop_stream;	/* of this batch */
	float		diversity;		/* of the gradient of expert_diversity, see penalty.c; 0 = none */
	float		entropy;		/* gate_entropy; 0 = none */
} mml_pass;

/* g T of a layer: outside mode gate the one weight is in T already. */
static inline float *
mml_weighed(const mml_pass *pass, const mml_batch *batch, int layer)
{
	return pass->mode == MML_MODE_GATE ? batch->tw[layer] : batch->t[layer];
}

#define MML_MODE_BIT(mode) (1u << (mode))
#define MML_ALL_MODES 15u

/*
 * Memory of a batch for passes of some modes (MML_MODE_BIT), forward alone or
 * backward too.  mml_batch_bytes() says how much; mml_batch_carve() cuts it up.
 */
extern size_t mml_batch_bytes(const mml_shape *shape, uint32_t vector_words, size_t capacity, uint32_t modes,
							  bool has_backward);
extern void mml_batch_carve(const mml_shape *shape, uint32_t vector_words, size_t capacity, uint32_t modes,
							bool has_backward, void *memory, mml_batch *batch);

/* A batch is cut into slices: rows [*start, *start + *n_rows) of slice s. */
#define MML_SLICES 8
extern void mml_slice(size_t n, int slice, size_t *start, size_t *n_rows);

/* Puts rows: [n] in ascending order of domain ids, otherwise as they were.  counts: [n_domain_ids + 1], spare: [n]. */
extern void mml_group_by_domain(const mml_data *data, uint32_t *rows, size_t n, uint32_t *counts, uint32_t *spare);

/* Forward of rows [start, start + n) of the batch: fills all from domain to logit. */
extern mml_status mml_net_forward(const mml_net *net, const mml_pass *pass, mml_batch *batch, size_t start, size_t n);

/* After it: loss, and the gradients of the same rows down to what pass->groups wants. */
extern mml_status mml_net_backward(const mml_net *net, const mml_pass *pass, mml_batch *batch, size_t start, size_t n);

/* Its first part: embeddings and interaction, all that enters the tower or the logit beside it. */
extern mml_status mml_inputs_forward(const mml_net *net, mml_batch *batch, size_t start, size_t n);

/* ---- gather.c, tower.c, experts.c, gate.c: the parts of these passes ---- */

extern void mml_gather(const mml_net *net, mml_batch *batch, size_t start, size_t n);

extern mml_status mml_tower_forward(const mml_net *net, const mml_pass *pass, mml_batch *batch, size_t start, size_t n);
extern mml_status mml_tower_backward(const mml_net *net, const mml_pass *pass, mml_batch *batch, size_t start, size_t n);

/* The segment that starts at row `at` and ends before `end`. */
extern mml_segment mml_segment_at(const mml_net *net, const mml_pass *pass, const mml_batch *batch, size_t at, size_t end);

/* out: rows of the segment, [n, out], += the experts' branch */
extern void mml_experts_forward(const mml_net *net, const mml_pass *pass, mml_batch *batch,
								int layer, const mml_segment *segment);

/* pre[layer] -> dt, dg; dh: [n, in] of the segment's rows += through the experts; NULL = not wanted */
extern void mml_experts_backward(const mml_net *net, const mml_pass *pass, mml_batch *batch,
								 int layer, const mml_segment *segment, float *dh);

extern void mml_gate_forward(const mml_net *net, const mml_pass *pass, mml_batch *batch, size_t start, size_t n);
extern void mml_gate_backward(const mml_net *net, const mml_pass *pass, mml_batch *batch, size_t start, size_t n);

/* In place: softmax of each row of x: [n, E]. */
extern void mml_softmax(float *x, size_t n, size_t e);

/*
 * g: [E], the weights in a mode other than expert of a row whose domain's first
 * expert is this one (-1: none), where they are the same for all its rows.
 */
extern void mml_gate_weights(const mml_shape *shape, mml_mode mode, const float *gate_domain, int32_t first_expert,
							 float *g);

/* ---- jobs.c: gradients of the dense tensors ---- */

struct mml_job;
typedef void (*mml_job_function) (const mml_net *net, const mml_pass *pass, const mml_batch *batch,
								  const struct mml_job *job, float *gradient);

/*
 * The gradient of a part of a tensor, rows [first_row, + n_rows) and columns
 * [first_col, + n_cols): work of fixed size that any participant may do.
 */
typedef struct mml_job
{
	mml_job_function run;
	int32_t		tensor;
	int32_t		layer;
	int32_t		field;			/* of projections */
	int32_t		expert;			/* first expert of a segment's part; -1 = all */
	uint64_t	first_row;
	uint64_t	n_rows;
	uint64_t	first_col;
	uint64_t	n_cols;
} mml_job;

/* A list that grows while jobs are planned. */
typedef struct mml_job_list
{
	mml_host   *host;
	const mml_net *net;
	mml_job    *jobs;
	size_t		held;
	int			n;
} mml_job_list;

/* The jobs that a pass's groups need; the caller releases *jobs. */
extern mml_status mml_jobs_plan(mml_host *host, const mml_net *net, const mml_pass *pass, mml_job **jobs, int *n_jobs);

/* Fills the job's part of its tensor's gradient from a batch that went forward and backward. */
extern void mml_job_run(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job);

/* ---- penalty.c: options expert_diversity and gate_entropy ---- */

/* Sets the pass's two penalties: what is asked for and its mode and groups allow. */
extern void mml_penalties_of(const mml_config *config, const mml_shape *shape, mml_pass *pass);

/* Floats that mml_diversity_backward() needs for itself; 0 where it is not asked for. */
extern size_t mml_diversity_words(const mml_config *config, const mml_shape *shape);

/*
 * Writes diversity's gradient into that of every layer's Down; the jobs then add to it.  It reads all of Down, so a
 * barrier must stand before the jobs.  Of `size` participants this one does the part of its `rank`.
 */
extern mml_status mml_diversity_backward(mml_host *host, const mml_net *net, const mml_pass *pass, int rank, int size,
										 float *overlap);

/* dg of rows [start, start + n) += entropy's gradient; before mml_gate_backward(). */
extern void mml_entropy_backward(const mml_net *net, const mml_pass *pass, mml_batch *batch, size_t start, size_t n);

/* ---- optimizer.c: Adam ---- */

typedef struct mml_adam
{
	float		step_size;		/* lr / (1 - beta1^t) */
	float		root_scale;		/* 1 / sqrt(1 - beta2^t) */
} mml_adam;

/* t: steps of the phase, from 1 */
extern void mml_adam_at(mml_adam *adam, double learning_rate, int64_t t);

/* One step of n numbers with gradient + decay * w. */
extern void mml_adam_step(const mml_adam *adam, float decay, size_t n, const float *gradient,
						  float *w, float *m, float *v);

/* One step of the part of a tensor that a job has filled. */
extern void mml_adam_job(const mml_net *net, const mml_adam *adam, const mml_job *job);

/* ---- tables.c: gradients of embedding and linear rows, and their lazy steps ---- */

/* What to do with the gradient of one touched row of a table: [n], n = its columns. */
typedef struct mml_row_visitor
{
	void		(*visit) (void *self, int32_t tensor, uint64_t row, const float *gradient, size_t n);
	void	   *self;
} mml_row_visitor;

/* The distinct ids of one field in a batch and their sums; grows as needed. */
typedef struct mml_table_space
{
	uint32_t   *slots;			/* [n_slots] open addressing, index + 1 */
	size_t		n_slots;
	uint32_t   *ids;			/* [held] */
	size_t		ids_held;
	float	   *sums;			/* [held, d + 1]: embedding's gradient, then linear's */
	size_t		sums_held;
	uint32_t	n;
} mml_table_space;

extern void mml_table_space_free(mml_host *host, mml_table_space *space);

/*
 * Visits each row of embedding and linear tables that the batch touches, once,
 * with its gradient; of `size` participants this one visits those of its `rank`.
 */
extern mml_status mml_tables_visit(mml_host *host, const mml_net *net, const mml_batch *batch, int rank, int size,
								   mml_table_space *space, const mml_row_visitor *visitor);

/* The visitor that takes one lazy Adam step with L2. */
typedef struct mml_table_step
{
	const mml_net *net;
	const mml_adam *adam;
	float		l2;				/* 2 x option l2 */
	const mml_field_tensors *only;	/* the tables that take it; NULL: all */
} mml_table_step;

extern void mml_table_step_visit(void *self, int32_t tensor, uint64_t row, const float *gradient, size_t n);

/* ---- model.c: what training leaves and scoring needs ---- */

/* Three starts of recipe auto, then experts, gate, finetune. */
#define MML_MAX_RUNS 6

struct mml_model
{
	mml_host   *host;
	mml_config	config;
	int32_t		n_fields;
	mml_field  *fields;			/* [F] */
	mml_layout *layout;			/* [F] */
	mml_names  *names;			/* domains */
	int32_t    *domain_expert;	/* [D + 1] */
	uint32_t   *expert_domain;	/* [E / k] */
	mml_params *params;
	mml_arena	arena;			/* of the values */
	mml_profile *profile;
	mml_model_facts facts;
	int32_t		n_phases;
	mml_phase_summary phases[MML_MAX_RUNS];
};

extern mml_status mml_model_create(mml_host *host, mml_model **model);

/* After fields, names and domain_expert are set: layout, expert_domain, params with memory for the values. */
extern mml_status mml_model_shape(mml_model *model, int n_experts, bool has_gate);

/* The rows of embedding.domain, MML_DOMAIN_MEAN not counted. */
extern uint32_t mml_model_domain_ids(const mml_model *model);

/* Which experts' domain is which: from: [n_ids] ascending first experts -> to: [E / k]. */
extern void mml_invert_experts(const int32_t *domain_expert, uint32_t n_ids, int per_domain, uint32_t *expert_domain);

/* ---- fold.c: one ordinary tower for each domain (MODELS.md section 6) ---- */

/* The layers of a tower without experts: the base tower, or a folded one. */
typedef struct mml_tower
{
	const float *weight[MML_MAX_LAYERS];	/* [in, out] */
	const float *bias[MML_MAX_LAYERS];	/* [out] */
	uint32_t	id;				/* another one for each of the towers of a mml_folds */
} mml_tower;

/* The folded towers of a model in one mode: at most `limit` bytes, at least one. */
typedef struct mml_folds
{
	mml_host   *host;
	const mml_net *net;
	mml_mode	mode;
	size_t		limit;
	size_t		bytes_each;
	size_t		bytes;			/* of all folded towers now */
	uint32_t	n;				/* domain ids, and one more for MML_DOMAIN_MEAN */
	float	  **memory;			/* [n] NULL = not folded now */
	uint64_t   *used;			/* [n] when last used */
	uint64_t	clock;
	float	   *g;				/* [E] */
	mml_tower	base;
} mml_folds;

extern mml_status mml_folds_create(mml_host *host, const mml_net *net, mml_mode mode, size_t limit, mml_folds *folds);
extern void mml_folds_free(mml_folds *folds);

/* The tower of a domain id or MML_DOMAIN_MEAN; good until the next call. */
extern mml_status mml_folds_tower(mml_folds *folds, uint32_t domain, mml_tower *tower);

/* Whether no expert serves the domain: its tower is the base. */
extern bool mml_folds_is_base(const mml_folds *folds, uint32_t domain);

/* ---- plain.c: rows through a tower without experts ---- */

/* What scoring keeps of the first layer for rows to come, which often share inputs: one user, many items. */
typedef struct mml_recall
{
	uint32_t	tower;			/* id of the one that all below belongs to */
	size_t		n_chunks;		/* whole chunks of the tower's input */
	float	   *input;			/* [n_chunks, MML_CHUNK] of the row before */
	uint8_t    *uses;			/* [n_chunks] MML_CHUNK_..., see mml_chunked_product() */
	float	   *sums;			/* [n_chunks, width[1]] */
	float	   *bias;			/* [width[1]] of a block, with what its rows share */
} mml_recall;

extern mml_status mml_recall_create(mml_host *host, const mml_shape *shape, mml_recall *recall);
extern void mml_recall_free(mml_host *host, mml_recall *recall);
extern size_t mml_recall_bytes(const mml_shape *shape);

/*
 * h[l + 1] = relu(h[l] W_l + c_l) for rows [start, start + n); logit += h_L head.
 * A row that goes alone or with few others has the same bits whatever rows went before it.
 */
extern void mml_plain_tower(const mml_net *net, const mml_tower *tower, mml_recall *recall, mml_batch *batch,
							size_t start, size_t n);

/* ---- score.c ---- */

/* MML_BAD_DATA: a score that is NaN. */
extern mml_status mml_refuse_score(mml_host *host);

#endif							/* MML_LAYERS_H */
