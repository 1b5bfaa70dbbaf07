/*
 * naive_net.c - the network in the plainest way: embeddings, the tower with its
 * experts, the gates, the loss.  One row, double precision, a loop over the
 * experts; written from MODELS.md sections 1 and 3, not from the core.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "naive.h"

/* ------------------------------------------------------------------ algebra */

void
naive_multiply(const number *x, const naive_tensor *matrix, int first, int n, number *y)
{
	for (int j = 0; j < matrix->cols; j++)
	{
		y[j] = 0.0;
		for (int i = 0; i < n; i++)
			y[j] += x[i] * matrix->x[(first + i) * matrix->cols + j];
	}
}

number
naive_dot(const number *a, const number *b, int n)
{
	number		sum = 0.0;

	for (int i = 0; i < n; i++)
		sum += a[i] * b[i];
	return sum;
}

number
naive_relu(naive *net, number z)
{
	if (creal(z) != 0.0)
		net->nearest_kink = fmin(net->nearest_kink, fabs(creal(z)));
	return creal(z) > 0.0 ? z : 0.0;
}

/* ------------------------------------------------------------------ tensors */

/* Numbers that a %.9g and a float keep. */
static double
draw(uint64_t key, uint64_t n, double scale)
{
	return (float) (scale * mml_normal(key, n));
}

naive_tensor *
naive_add(naive *net, int rows, int cols, const char *format, ...)
{
	naive_tensor *to = &net->tensors[net->n_tensors++];
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(to->name, sizeof(to->name), format, arguments);
	va_end(arguments);
	to->rows = rows;
	to->cols = cols;
	to->x = malloc((size_t) (rows * cols) * sizeof(number));
	for (int i = 0; i < rows * cols; i++)
		to->x[i] = draw(mml_combine(net->spec->seed, (uint64_t) net->n_tensors), (uint64_t) i, 0.4);
	return to;
}

static void
add_fields(naive *net)
{
	const naive_spec *spec = net->spec;

	for (int f = 0; f < net->n_fields; f++)
	{
		bool		is_domain = f == spec->n_fields;
		bool		is_vector = !is_domain && spec->fields[f].kind == MML_VECTOR;
		int			size = is_domain ? spec->n_domains : spec->fields[f].size;
		char		name[16];

		snprintf(name, sizeof(name), is_domain ? "domain" : "f%d", f);
		if (!is_vector || spec->fields[f].project)
			net->embedding[f] = naive_add(net, size, spec->dim, "%s.%s", is_vector ? "projection" : "embedding", name);
		if (!is_vector && net->backbone->has_linear)
			net->linear[f] = naive_add(net, size, 1, "linear.%s", name);
	}
}

static void
add_tower(naive *net, int in)
{
	const naive_spec *spec = net->spec;

	for (int l = 0; l < spec->n_layers; in = spec->hidden[l++])
	{
		net->rank[l] = spec->hidden[l] / spec->lora_reduce > 1 ? spec->hidden[l] / spec->lora_reduce : 1;
		net->weight[l] = naive_add(net, in, spec->hidden[l], "tower.%d.weight", l);
		net->tower_bias[l] = naive_add(net, 1, spec->hidden[l], "tower.%d.bias", l);
	}
}

static void
add_experts(naive *net)
{
	const naive_spec *spec = net->spec;

	for (int l = 0; l < spec->n_layers; l++)
		for (int e = 0; e < spec->n_experts; e++)
		{
			net->down[e][l] = naive_add(net, net->weight[l]->rows, net->rank[l], "expert.%d.tower.%d.down", e, l);
			net->up[e][l] = naive_add(net, net->rank[l], spec->hidden[l], "expert.%d.tower.%d.up", e, l);
			net->expert_bias[e][l] = naive_add(net, 1, spec->hidden[l], "expert.%d.tower.%d.bias", e, l);
		}
}

static void
add_tensors(naive *net)
{
	const naive_spec *spec = net->spec;
	const naive_backbone *backbone = net->backbone;
	int			width = net->n_fields * spec->dim;
	int			side = backbone->side_width == NULL ? 0 : backbone->side_width(net);

	add_fields(net);
	net->bias = naive_add(net, 1, 1, "bias");
	add_tower(net, backbone->tower_width == NULL ? width : backbone->tower_width(net));
	if (backbone->create != NULL)
		backbone->create(net);
	net->head = naive_add(net, side + spec->hidden[spec->n_layers - 1], 1, "head.weight");
	add_experts(net);
	net->gate_domain = naive_add(net, spec->n_domains, spec->n_experts, "gate.domain");
	net->gate_weight = naive_add(net, width, spec->n_experts, "gate.input.weight");
	net->gate_bias = naive_add(net, 1, spec->n_experts, "gate.input.bias");
}

/* -------------------------------------------------------------------- rows */

static naive_cell *
cell_of(const naive *net, int row, int f)
{
	return &net->cells[row * net->n_fields + f];
}

static int
domain_of(const naive *net, int row)
{
	return (int) cell_of(net, row, net->n_fields - 1)->x[0];
}

static void
draw_cell(const naive *net, int row, int f, naive_cell *cell)
{
	const naive_spec *spec = net->spec;
	uint64_t	key = mml_combine(spec->seed + 2, (uint64_t) (row * 64 + f));
	mml_kind	kind = f == spec->n_fields ? MML_CATEGORICAL : spec->fields[f].kind;
	int			size = f == spec->n_fields ? spec->n_domains : spec->fields[f].size;

	cell->n = kind == MML_MULTI ? (int) mml_below(key, 99, 4) : kind == MML_VECTOR ? size : 1;
	for (int i = 0; i < cell->n; i++)
	{
		if (kind == MML_NUMERIC || kind == MML_VECTOR)
			cell->x[i] = draw(key, (uint64_t) i, 1.0);
		else
			cell->x[i] = (double) mml_below(key, (uint64_t) i, (uint64_t) size);
	}
}

static void
draw_rows(naive *net)
{
	const naive_spec *spec = net->spec;

	net->cells = calloc((size_t) (spec->n_rows * net->n_fields), sizeof(naive_cell));
	net->label = calloc((size_t) spec->n_rows, sizeof(double));
	for (int row = 0; row < spec->n_rows; row++)
	{
		for (int f = 0; f < net->n_fields; f++)
			draw_cell(net, row, f, cell_of(net, row, f));
		net->label[row] = row % 3 == 2 ? 0.25 : (double) mml_below(spec->seed + 3, (uint64_t) row, 2);
	}
}

/* ----------------------------------------------------------------- forward */

/* v_f into v: [d]; returns the linear term. */
static number
embed(const naive *net, int row, int f, number *v)
{
	const naive_spec *spec = net->spec;
	mml_kind	kind = f == spec->n_fields ? MML_CATEGORICAL : spec->fields[f].kind;
	const naive_cell *cell = cell_of(net, row, f);
	number		sum = 0.0;

	for (int j = 0; j < spec->dim; j++)
		v[j] = 0.0;
	for (int i = 0; i < cell->n; i++)
	{
		int			at = kind == MML_NUMERIC ? 0 : kind == MML_VECTOR ? i : (int) cell->x[i];
		double		scale = kind == MML_NUMERIC || kind == MML_VECTOR ? cell->x[i] : 1.0 / cell->n;

		if (net->embedding[f] == NULL)
		{
			v[i] = cell->x[i];
			continue;
		}
		for (int j = 0; j < spec->dim; j++)
			v[j] += scale * net->embedding[f]->x[at * spec->dim + j];
		if (net->linear[f] != NULL)
			sum += scale * net->linear[f]->x[at];
	}
	return sum;
}

static void
weigh_experts(const naive *net, naive_mode mode, int domain, const number *x, number *g)
{
	int			e = net->spec->n_experts;
	int			k = e / net->spec->n_domains;
	number		sum = 0.0;

	if (mode == NAIVE_GATE_INPUT)
		naive_multiply(x, net->gate_weight, 0, net->gate_weight->rows, g);
	for (int i = 0; i < e; i++)
	{
		if (mode == NAIVE_BACKBONE)
			g[i] = 0.0;
		else if (mode == NAIVE_LAST_EXPERT)
			g[i] = i == e - 1;
		else if (mode == NAIVE_OWN)
			g[i] = i / k == domain ? 1.0 / k : 0.0;
		else if (mode == NAIVE_GATE_DOMAIN)
			g[i] = cexp(net->gate_domain->x[domain * e + i]);
		else
			g[i] = cexp(g[i] + net->gate_bias->x[i]);
		sum += g[i];
	}
	for (int i = 0; mode >= NAIVE_GATE_DOMAIN && i < e; i++)
		g[i] /= sum;
}

/* out: h W + c + sum_e g_e [(h down) up + bias], then ReLU. */
static void
run_layer(naive *net, int l, const number *g, const number *h, number *out)
{
	int			n_out = net->weight[l]->cols;

	naive_multiply(h, net->weight[l], 0, net->weight[l]->rows, out);
	for (int j = 0; j < n_out; j++)
		out[j] += net->tower_bias[l]->x[j];
	for (int e = 0; e < net->spec->n_experts; e++)
	{
		number		inner[NAIVE_MAX_WIDTH];
		number		outer[NAIVE_MAX_WIDTH];

		if (g[e] == 0.0)
			continue;
		naive_multiply(h, net->down[e][l], 0, net->down[e][l]->rows, inner);
		naive_multiply(inner, net->up[e][l], 0, net->rank[l], outer);
		for (int j = 0; j < n_out; j++)
			out[j] += g[e] * (outer[j] + net->expert_bias[e][l]->x[j]);
	}
	for (int j = 0; j < n_out; j++)
		out[j] = naive_relu(net, out[j]);
}

/* b + s + what the backbone adds + [side ; o] head.weight */
number
naive_logit(naive *net, naive_mode mode, int row)
{
	const naive_spec *spec = net->spec;
	const naive_backbone *backbone = net->backbone;
	number		x[NAIVE_MAX_WIDTH];
	number		h[MML_MAX_LAYERS + 1][NAIVE_MAX_WIDTH];
	number		side[NAIVE_MAX_WIDTH];
	number		g[NAIVE_MAX_EXPERTS];
	number		z = net->bias->x[0];
	int			n_tower = spec->hidden[spec->n_layers - 1];
	int			n_side = net->head->rows - n_tower;

	for (int f = 0; f < net->n_fields; f++)
		z += embed(net, row, f, x + f * spec->dim);
	if (backbone->enter != NULL)
		backbone->enter(net, x, h[0]);
	else
		memcpy(h[0], x, (size_t) (net->n_fields * spec->dim) * sizeof(number));
	if (backbone->add != NULL)
		z += backbone->add(net, x);
	if (backbone->side != NULL)
		backbone->side(net, x, side);
	weigh_experts(net, mode, domain_of(net, row), x, g);
	for (int l = 0; l < spec->n_layers; l++)
		run_layer(net, l, g, h[l], h[l + 1]);
	return z + naive_dot(side, net->head->x, n_side) +
		naive_dot(h[spec->n_layers], net->head->x + n_side, n_tower);
}

number
naive_loss(naive *net, naive_mode mode)
{
	number		sum = 0.0;

	for (int row = 0; row < net->spec->n_rows; row++)
	{
		number		z = naive_logit(net, mode, row);
		double		y = net->label[row];

		sum += y * clog(1.0 + cexp(-z)) + (1.0 - y) * clog(1.0 + cexp(z));
	}
	return sum / net->spec->n_rows;
}

/* ---------------------------------------------------------- begin and end */

void
naive_create(naive *net, const naive_spec *spec)
{
	memset(net, 0, sizeof(*net));
	net->spec = spec;
	net->backbone = naive_backbone_named(spec->backbone);
	net->n_fields = spec->n_fields + 1;
	net->nearest_kink = INFINITY;
	draw_rows(net);
	add_tensors(net);
}

void
naive_free(naive *net)
{
	for (int i = 0; i < net->n_tensors; i++)
		free(net->tensors[i].x);
	free(net->cells);
	free(net->label);
}
