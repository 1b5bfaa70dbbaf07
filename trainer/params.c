/*
 * params.c - the table of named tensors (MODELS.md section 4).  Allocation,
 * initial values, optimiser, phases and stored bytes all walk it.
 */
#include <math.h>
#include <string.h>

#include "mml_backbones.h"

#define INIT_POLL 65536			/* numbers between two polls */

/* ------------------------------------------------------------------- shape */

static int32_t
rank_of(const mml_config *config, int32_t out)
{
	int32_t		reduce = config->lora_reduce > 0 ? config->lora_reduce : 16;

	if (config->lora_rank > 0)
		return MML_MIN(config->lora_rank, out);
	return MML_MAX(out / reduce, 1);
}

void
mml_shape_init(mml_shape *shape, const mml_config *config, int n_fields, int n_experts,
			   bool has_gate_domain, bool has_gate_input)
{
	memset(shape, 0, sizeof(*shape));
	mml_shape_backbone(shape, config, n_fields);
	shape->n_layers = config->n_hidden;
	for (int l = 0; l < config->n_hidden; l++)
	{
		shape->width[l + 1] = config->hidden[l];
		shape->rank[l] = rank_of(config, config->hidden[l]);
	}
	shape->n_experts = n_experts;
	shape->per_domain = config->experts_per_domain;
	shape->has_gate_domain = n_experts > 0 && has_gate_domain;
	shape->has_gate_input = n_experts > 0 && has_gate_input;
}

void
mml_layout_of(const mml_field *field, mml_layout *layout)
{
	memset(layout, 0, sizeof(*layout));
	layout->kind = field->kind;
	layout->is_domain = field->is_domain;
	layout->project = field->project;
	layout->width = field->width;
	layout->table_rows = field->table_rows;
	layout->slot = field->slot;
	layout->vector_start = field->vector_start;
}

/* ----------------------------------------------------------------- declare */

/* Adds a tensor to the table; its index. */
static int32_t
declare(mml_params *params, const char *name, mml_group group, uint64_t rows, uint64_t cols, mml_init_kind init)
{
	mml_tensor *tensor = &params->tensors[params->n_tensors];

	mml_copy_text(tensor->name, sizeof(tensor->name), name, strlen(name));
	tensor->field = -1;
	tensor->layer = -1;
	tensor->group = group;
	tensor->init = init;
	tensor->part = MML_PART_WHOLE;
	tensor->rows = rows;
	tensor->cols = cols;
	return params->n_tensors++;
}

/* One whose name holds a layer's number where %d stands. */
static int32_t
declare_layer(mml_params *params, const char *before, int layer, const char *after, mml_group group,
			  uint64_t rows, uint64_t cols, mml_init_kind init, mml_part part)
{
	char		name[48];
	int32_t		index;

	mml_format(name, sizeof(name), "%s%d%s", before, layer, after);
	index = declare(params, name, group, rows, cols, init);
	params->tensors[index].layer = layer;
	params->tensors[index].part = part;
	return index;
}

int32_t
mml_declare(mml_params *params, const char *name, uint64_t rows, uint64_t cols, mml_init_kind init)
{
	return declare(params, name, MML_GROUP_BASE, rows, cols, init);
}

int32_t
mml_declare_layer(mml_params *params, const char *before, int layer, const char *after,
				  uint64_t rows, uint64_t cols, mml_init_kind init)
{
	return declare_layer(params, before, layer, after, MML_GROUP_BASE, rows, cols, init, MML_PART_WHOLE);
}

static void
declare_field(mml_params *params, int f, const mml_layout *layout)
{
	mml_field_tensors *of = &params->of_field[f];
	uint64_t	d = (uint64_t) params->shape.dim;
	int32_t		first = params->n_tensors;
	int32_t		reserved = layout->is_domain ? 1 : layout->kind == MML_NUMERIC ? 0 : MML_ID_FIRST;

	of->embedding = of->linear = of->projection = -1;
	if (layout->kind == MML_VECTOR)
	{
		if (layout->project)
			of->projection = declare(params, "projection.", MML_GROUP_BASE, layout->width, d, MML_INIT_GLOROT_NORMAL);
	}
	else
	{
		of->embedding = declare(params, "embedding.", MML_GROUP_TABLE, layout->table_rows, d,
								layout->is_domain ? MML_INIT_DOMAIN : MML_INIT_EMBEDDING);
		params->tensors[of->embedding].reserved_rows = reserved;
		if (params->shape.has_linear)
			of->linear = declare(params, "linear.", MML_GROUP_TABLE, layout->table_rows, 1, MML_INIT_ZERO);
	}
	for (int32_t i = first; i < params->n_tensors; i++)
		params->tensors[i].field = f;
}

static void
declare_tower(mml_params *params)
{
	const mml_shape *shape = &params->shape;

	for (int l = 0; l < shape->n_layers; l++)
	{
		uint64_t	in = (uint64_t) shape->width[l];
		uint64_t	out = (uint64_t) shape->width[l + 1];

		params->weight[l] = declare_layer(params, "tower.", l, ".weight", MML_GROUP_BASE, in, out,
										  MML_INIT_GLOROT_NORMAL, MML_PART_WHOLE);
		params->tower_bias[l] = declare_layer(params, "tower.", l, ".bias", MML_GROUP_BASE, 1, out,
											  MML_INIT_ZERO, MML_PART_WHOLE);
	}
	params->head = declare(params, "head.weight", MML_GROUP_BASE,
						   (uint64_t) shape->side_width + (uint64_t) shape->width[shape->n_layers], 1,
						   MML_INIT_GLOROT_NORMAL);
}

static void
declare_experts(mml_params *params)
{
	const mml_shape *shape = &params->shape;
	uint64_t	e = (uint64_t) shape->n_experts;

	for (int l = 0; l < shape->n_layers; l++)
	{
		uint64_t	in = (uint64_t) shape->width[l];
		uint64_t	out = (uint64_t) shape->width[l + 1];
		uint64_t	ranks = e * (uint64_t) shape->rank[l];

		params->down[l] = declare_layer(params, "expert.tower.", l, ".down", MML_GROUP_EXPERT, in, ranks,
										MML_INIT_GLOROT_UNIFORM, MML_PART_DOWN);
		params->up[l] = declare_layer(params, "expert.tower.", l, ".up", MML_GROUP_EXPERT, ranks, out,
									  MML_INIT_ZERO, MML_PART_UP);
		params->expert_bias[l] = declare_layer(params, "expert.tower.", l, ".bias", MML_GROUP_EXPERT, e, out,
											   MML_INIT_ZERO, MML_PART_BIAS);
	}
}

static void
declare_gate(mml_params *params)
{
	const mml_shape *shape = &params->shape;
	uint64_t	e = (uint64_t) shape->n_experts;

	if (shape->has_gate_domain)
		params->gate_domain = declare(params, "gate.domain", MML_GROUP_GATE, e / (uint64_t) shape->per_domain, e,
									  MML_INIT_GATE);
	if (shape->has_gate_input)
	{
		uint64_t	width = (uint64_t) shape->x_width;

		params->gate_input_weight = declare(params, "gate.input.weight", MML_GROUP_GATE, width, e, MML_INIT_ZERO);
		params->gate_input_bias = declare(params, "gate.input.bias", MML_GROUP_GATE, 1, e, MML_INIT_ZERO);
	}
}

mml_status
mml_params_declare(mml_host *host, const mml_shape *shape, const mml_layout *layout, mml_params **params)
{
	const mml_interaction *interaction = mml_interaction_of(shape);
	size_t		most = (size_t) shape->n_fields * 2 + (size_t) shape->n_layers * 5 + 8 +
		sizeof((*params)->inner) / sizeof((*params)->inner[0]);
	mml_status	status;

	MML_TRY(MML_NEW(host, *params, 1));
	status = MML_NEW(host, (*params)->tensors, most);
	if (status == MML_OK)
		status = MML_NEW(host, (*params)->of_field, (size_t) shape->n_fields);
	if (status != MML_OK)
	{
		mml_params_free(host, *params);
		*params = NULL;
		return status;
	}
	(*params)->shape = *shape;
	(*params)->gate_domain = (*params)->gate_input_weight = (*params)->gate_input_bias = -1;
	for (int f = 0; f < shape->n_fields; f++)
		declare_field(*params, f, &layout[f]);
	(*params)->bias = declare(*params, "bias", MML_GROUP_BASE, 1, 1, MML_INIT_ZERO);
	declare_tower(*params);
	if (interaction != NULL && interaction->declare != NULL)
		interaction->declare(*params);
	if (shape->n_experts > 0)
	{
		declare_experts(*params);
		declare_gate(*params);
	}
	return MML_OK;
}

void
mml_params_free(mml_host *host, mml_params *params)
{
	if (params == NULL)
		return;
	mml_release(host, params->tensors);
	mml_release(host, params->of_field);
	mml_release(host, params);
}

/* ---------------------------------------------------------------- allocate */

static mml_status
take(mml_arena *arena, const mml_tensor *tensor, bool is_wanted, mml_ref *ref)
{
	return is_wanted ? mml_arena_alloc(arena, tensor->rows * tensor->cols, sizeof(float), ref) : MML_OK;
}

mml_status
mml_params_allocate(mml_params *params, mml_arena *arena, uint32_t states)
{
	for (int32_t i = 0; i < params->n_tensors; i++)
	{
		mml_tensor *tensor = &params->tensors[i];

		MML_TRY(take(arena, tensor, states & MML_STATE_VALUE, &tensor->value));
		MML_TRY(take(arena, tensor, states & MML_STATE_MOMENTS, &tensor->moment_m));
		MML_TRY(take(arena, tensor, states & MML_STATE_MOMENTS, &tensor->moment_v));
		MML_TRY(take(arena, tensor, (states & MML_STATE_GRADIENT) && tensor->group != MML_GROUP_TABLE,
					 &tensor->gradient));
		MML_TRY(take(arena, tensor, states & MML_STATE_BEST, &tensor->best));
		MML_TRY(take(arena, tensor, states & MML_STATE_KEPT, &tensor->kept));
		MML_TRY(take(arena, tensor, states & MML_STATE_AVERAGE, &tensor->average));
	}
	return MML_OK;
}

uint64_t
mml_params_count(const mml_params *params, uint32_t groups)
{
	uint64_t	count = 0;

	for (int32_t i = 0; i < params->n_tensors; i++)
		if ((uint32_t) params->tensors[i].group & groups)
			count += params->tensors[i].rows * params->tensors[i].cols;
	return count;
}

/* -------------------------------------------------------------- initialise */

/* The experts' parts of a tensor are initialised one expert at a time, as if each stood alone. */
typedef struct fill
{
	mml_host   *host;
	uint64_t	stream;
	double		scale;
	double		(*draw) (uint64_t stream, uint64_t n);
	uint64_t	done;
} fill;

/* Uniform in [-1, 1). */
static double
draw_uniform(uint64_t stream, uint64_t n)
{
	return 2.0 * mml_uniform(stream, n) - 1.0;
}

/* Normal, drawn again where it is more than 2 away. */
static double
draw_truncated(uint64_t stream, uint64_t n)
{
	double		x = mml_normal(stream, n);

	for (uint64_t again = 1; fabs(x) > 2.0; again++)
		x = mml_normal(mml_combine(stream, again), n);
	return x;
}

static mml_status
fill_numbers(fill *at, float *values, uint64_t first, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
	{
		values[i] = (float) (at->draw(at->stream, first + i) * at->scale);
		if (++at->done % INIT_POLL == 0)
			MML_TRY(mml_poll(at->host));
	}
	return MML_OK;
}

/* Glorot uniform [in, r] for each expert's columns. */
static mml_status
fill_downs(fill *at, const mml_shape *shape, const mml_tensor *tensor, float *values)
{
	uint64_t	r = (uint64_t) shape->rank[tensor->layer];
	uint64_t	stream = at->stream;

	at->draw = draw_uniform;
	at->scale = sqrt(6.0 / (double) (tensor->rows + r));
	for (uint64_t e = 0; e < (uint64_t) shape->n_experts; e++)
	{
		at->stream = mml_combine(stream, e);
		for (uint64_t i = 0; i < tensor->rows; i++)
			MML_TRY(fill_numbers(at, values + i * tensor->cols + e * r, i * r, r));
	}
	return MML_OK;
}

/* ln(q (E - k) / ((1 - q) k)) for the k own experts: together they have share q. */
static void
fill_gate(const mml_shape *shape, const mml_tensor *tensor, float *values, double own_share)
{
	double		k = shape->per_domain;
	double		others = (double) tensor->cols - k;

	memset(values, 0, tensor->rows * tensor->cols * sizeof(float));
	if (others <= 0.0)
		return;
	for (uint64_t t = 0; t < tensor->rows; t++)
		for (uint64_t j = 0; j < (uint64_t) shape->per_domain; j++)
			values[t * tensor->cols + t * (uint64_t) shape->per_domain + j] =
				(float) log(own_share * others / ((1.0 - own_share) * k));
}

static mml_status
initialize_tensor(fill *at, const mml_shape *shape, const mml_tensor *tensor, float *values, double own_share)
{
	uint64_t	n = tensor->rows * tensor->cols;
	uint64_t	skipped = MML_MIN((uint64_t) tensor->reserved_rows, tensor->rows) * tensor->cols;

	at->draw = mml_normal;
	switch (tensor->init)
	{
		case MML_INIT_EMBEDDING:
			at->scale = 0.01;
			break;
		case MML_INIT_DOMAIN:
			at->scale = 0.0001;
			break;
		case MML_INIT_GLOROT_NORMAL:
			at->scale = sqrt(2.0 / (double) (tensor->rows + tensor->cols));
			break;
		case MML_INIT_GLOROT_UNIFORM:
			if (tensor->part == MML_PART_DOWN)
				return fill_downs(at, shape, tensor, values);
			at->draw = draw_uniform;
			at->scale = sqrt(6.0 / (double) (tensor->rows + tensor->cols));
			break;
		case MML_INIT_GLOROT_SQUARES:
			at->scale = sqrt(2.0 / (double) (tensor->cols + tensor->cols));
			break;
		case MML_INIT_TRUNCATED:
			at->draw = draw_truncated;
			at->scale = 0.05;
			break;
		case MML_INIT_GATE:
			fill_gate(shape, tensor, values, own_share);
			return MML_OK;
		default:
			skipped = n;
	}
	memset(values, 0, skipped * sizeof(float));
	return fill_numbers(at, values + skipped, skipped, n - skipped);
}

mml_status
mml_params_initialize(mml_host *host, const mml_params *params, const mml_arena *arena,
					  int64_t seed, uint32_t groups, double own_share)
{
	fill		at = {.host = host};

	for (int32_t i = 0; i < params->n_tensors; i++)
	{
		const mml_tensor *tensor = &params->tensors[i];

		if (!((uint32_t) tensor->group & groups))
			continue;
		at.stream = mml_combine((uint64_t) seed, mml_hash_bytes(tensor->name, strlen(tensor->name),
																(uint64_t) (tensor->field + 1)));
		MML_TRY(initialize_tensor(&at, &params->shape, tensor, mml_arena_at(arena, tensor->value), own_share));
	}
	return MML_OK;
}

/* ------------------------------------------------------------------- views */

static bool
is_named(const mml_tensor *tensor, const mml_field *fields, const char *name)
{
	size_t		length = strlen(tensor->name);

	if (tensor->field < 0)
		return strcmp(tensor->name, name) == 0;
	return strncmp(tensor->name, name, length) == 0 && strcmp(fields[tensor->field].name, name + length) == 0;
}

/* "expert.<e>.tower...": the number, and what follows it with the physical tensor's prefix. */
static bool
parse_expert(const char *name, int64_t *expert, char *physical, size_t size)
{
	const char *at = name + 7;

	if (strncmp(name, "expert.", 7) != 0 || *at < '0' || *at > '9')
		return false;
	for (*expert = 0; *at >= '0' && *at <= '9' && *expert < INT32_MAX; at++)
		*expert = *expert * 10 + (*at - '0');
	mml_format(physical, size, "expert%s", at);
	return true;
}

/* "attention.<l>.query" and so on: which of the four, and the name of the tensor that holds them. */
static bool
parse_projection(const char *name, int64_t *place, char *physical, size_t size)
{
	static const char *const parts[] = {".query", ".key", ".value", ".residual"};
	size_t		length = strlen(name);

	for (*place = 0; *place < 4; (*place)++)
	{
		size_t		part = strlen(parts[*place]);

		if (strncmp(name, "attention.", 10) != 0 || length <= part || strcmp(name + length - part, parts[*place]) != 0)
			continue;
		mml_copy_text(physical, size, name, length - part);
		return true;
	}
	return false;
}

/* Cuts expert e's part, or one of the four projections, out of the view of a whole tensor. */
static bool
narrow(const mml_shape *shape, const mml_tensor *tensor, int64_t e, mml_tensor_view *view)
{
	size_t		r;

	if (tensor->part == MML_PART_PROJECTIONS)
	{
		view->cols /= 4;
		view->values += (size_t) e * view->cols;
		return true;
	}
	if (e < 0 || e >= shape->n_experts || tensor->layer < 0)
		return false;
	r = (size_t) shape->rank[tensor->layer];
	switch (tensor->part)
	{
		case MML_PART_DOWN:
			view->values += (size_t) e * r;
			view->cols = r;
			return true;
		case MML_PART_UP:
			view->values += (size_t) e * r * view->stride;
			view->rows = r;
			return true;
		case MML_PART_BIAS:
			view->values += (size_t) e * view->stride;
			view->rows = 1;
			return true;
		default:
			return false;
	}
}

bool
mml_params_view(const mml_params *params, const mml_arena *arena, const mml_field *fields,
				const char *name, bool is_gradient, mml_tensor_view *view)
{
	char		physical[64];
	int64_t		part = -1;
	bool		is_part = parse_expert(name, &part, physical, sizeof(physical)) ||
		parse_projection(name, &part, physical, sizeof(physical));

	for (int32_t i = 0; i < params->n_tensors; i++)
	{
		const mml_tensor *tensor = &params->tensors[i];

		if (!is_named(tensor, fields, is_part ? physical : name))
			continue;
		if (is_part && tensor->part == MML_PART_WHOLE)
			return false;
		view->values = mml_arena_at(arena, is_gradient ? tensor->gradient : tensor->value);
		view->rows = tensor->rows;
		view->cols = tensor->cols;
		view->stride = tensor->cols;
		return !is_part || narrow(&params->shape, tensor, part, view);
	}
	return false;
}
