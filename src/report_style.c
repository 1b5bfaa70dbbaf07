/*
 * report_style.c - the page around all parts of a report: its style, light and
 * dark, and the frames of parts, pictures and tables.
 *
 * Nothing is loaded and no program runs: the page says so itself, by a policy
 * that browsers keep even if a name should ever get past the escaping.
 */
#include "postgres.h"

#include "report.h"

static const char POLICY[] = "default-src 'none'; style-src 'unsafe-inline'";

static const char STYLE[] =
":root{color-scheme:light dark;--page:#f4f5f7;--card:#fff;--ink:#17202c;--soft:#525e6d;--line:#dfe3e9;--grid:#e8ebef;"
"--c0:#6a7686;--c1:#1f64c8;--c2:#c4500a;--c3:#187a48;--c4:#7d44b5;--c5:#b82468;--c6:#0c7680;--c7:#86590f;--heat:#1f64c8}\n"
"@media (prefers-color-scheme:dark){:root{--page:#10141a;--card:#191f27;--ink:#e8ecf1;--soft:#a5b0be;--line:#303945;"
"--grid:#29313c;--c0:#98a4b3;--c1:#6aa5ff;--c2:#ff9a52;--c3:#55cb8d;--c4:#c49af5;--c5:#ff85b6;--c6:#4fc9d4;--c7:#dcb35f;--heat:#3a6fd0}}\n"
"*{box-sizing:border-box}\n"
"body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,"
"\"Noto Sans\",\"DejaVu Sans\",sans-serif;-webkit-text-size-adjust:100%}\n"
"header,main,footer{max-width:1120px;margin:0 auto;padding:0 20px}\n"
"header{padding-top:32px}\n"
"h1{margin:0;font-size:2rem;line-height:1.2;overflow-wrap:anywhere}\n"
"h2{margin:0 0 6px;font-size:1.2rem}\n"
"h3{margin:0;font-size:1rem}\n"
"p{margin:0 0 10px;max-width:72ch}\n"
".eyebrow{margin:0 0 4px;color:var(--c1);font-size:.8rem;font-weight:600;letter-spacing:.08em;text-transform:uppercase}\n"
".soft{color:var(--soft)}\n"
".lead{margin:10px 0 18px;font-size:1.06rem}\n"
".note{padding:10px 14px;border:1px solid var(--line);border-left:4px solid var(--c2);border-radius:6px;"
"background:var(--card);overflow-wrap:anywhere}\n"
"nav ul,.legend,.tiles{margin:0;padding:0;list-style:none;display:flex;flex-wrap:wrap}\n"
"nav ul{gap:4px 18px;margin-bottom:18px;font-size:.92rem}\n"
"a{color:var(--c1)}\n"
".tiles{gap:12px;margin:0 0 20px;display:grid;grid-template-columns:repeat(6,minmax(0,1fr))}\n"
".tiles li{padding:12px 14px;border:1px solid var(--line);border-radius:10px;background:var(--card)}\n"
".tiles b{display:block;font-size:1.45rem;line-height:1.25;font-variant-numeric:tabular-nums}\n"
".tiles span{color:var(--soft);font-size:.82rem}\n"
"main{display:grid;gap:18px;grid-template-columns:repeat(2,minmax(0,1fr));align-items:start}\n"
"section{padding:20px;border:1px solid var(--line);border-radius:12px;background:var(--card);min-width:0}\n"
".wide{grid-column:1/-1}\n"
".tall{grid-row:span 2}\n"
".panels{display:grid;gap:22px 28px;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr))}\n"
"figure{margin:12px 0 0}\n"
"figure>svg{display:block;width:100%;max-width:520px;height:auto;margin:0 auto}\n"
"svg text{font-size:12px;fill:var(--soft);unicode-bidi:plaintext}\n"
"svg .name{font-size:13px;fill:var(--ink)}\n"
"svg .v{font-size:11px;fill:var(--ink);font-variant-numeric:tabular-nums}\n"
"svg .m{text-anchor:middle}\n"
"svg .e{text-anchor:end}\n"
".c0{--c:var(--c0)}.c1{--c:var(--c1)}.c2{--c:var(--c2)}.c3{--c:var(--c3)}.c4{--c:var(--c4)}.c5{--c:var(--c5)}"
".c6{--c:var(--c6)}.c7{--c:var(--c7)}.ink{--c:var(--ink)}\n"
".grid,.axis,.guide,.line,.whisker,.frame{fill:none}\n"
".grid{stroke:var(--grid)}\n"
".axis{stroke:var(--soft)}\n"
".guide{stroke:var(--soft);stroke-dasharray:3 4}\n"
".line{stroke:var(--c);stroke-width:1.8;stroke-linejoin:round}\n"
".line.c2{stroke-dasharray:7 2}.line.c3{stroke-dasharray:2 2}.line.c4{stroke-dasharray:7 2 2 2}"
".line.c5{stroke-dasharray:4 2}.line.c6{stroke-dasharray:10 3}.line.c7{stroke-dasharray:1 2}\n"
".whisker{stroke:var(--c);stroke-width:1.2}\n"
".bar,.dot{fill:var(--c)}\n"
".mark{fill:var(--card);stroke:var(--c);stroke-width:2}\n"
".cell{fill:var(--heat)}\n"
".frame{stroke:var(--ink);stroke-width:1}\n"
".legend{gap:4px 16px;justify-content:center;margin:8px 0;font-size:.84rem;color:var(--soft)}\n"
".legend svg{width:26px;height:8px;margin-right:6px}\n"
".legend .box{width:12px;height:12px;vertical-align:-1px}\n"
"details{margin-top:10px;border-top:1px solid var(--line);padding-top:8px;font-size:.9rem}\n"
"summary{cursor:pointer;color:var(--soft)}\n"
".scroll{overflow-x:auto}\n"
"table{border-collapse:collapse;width:100%;margin:8px 0;font-size:.86rem}\n"
"caption{padding:0 0 6px;color:var(--soft);text-align:left}\n"
"th,td{padding:4px 8px;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;overflow-wrap:break-word}\n"
"th[scope=row]{font-weight:500;min-width:7em}\n"
"thead th{color:var(--soft);font-weight:600;overflow-wrap:normal}\n"
".n{text-align:right;font-variant-numeric:tabular-nums}\n"
"td.n{white-space:nowrap}\n"
"dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:4px 16px;margin:8px 0;font-size:.92rem}\n"
"dt{color:var(--soft)}\n"
"dd{margin:0;overflow-wrap:anywhere}\n"
"pre{margin:6px 0;padding:10px 12px;border:1px solid var(--line);border-radius:6px;background:var(--page);"
"font:.82rem/1.45 ui-monospace,Menlo,Consolas,\"DejaVu Sans Mono\",monospace;white-space:pre-wrap;overflow-wrap:anywhere}\n"
"footer{padding-top:18px;padding-bottom:36px;color:var(--soft);font-size:.85rem}\n"
"@media (max-width:800px){main{grid-template-columns:minmax(0,1fr)}header,main,footer{padding-left:14px;padding-right:14px}"
"header{padding-top:20px}section{padding:14px}h1{font-size:1.6rem}.tall{grid-row:auto}.tiles{grid-template-columns:repeat(2,minmax(0,1fr))}"
"dl{column-gap:12px}th,td{padding:4px 5px}th[scope=row]{min-width:4.5em}}\n"
"@media print{body{background:#fff}section{break-inside:avoid}nav{display:none}}\n";

void
ReportPageBegin(Report *report)
{
	StringInfo	html = report->page.html;

	appendStringInfo(html,
					 "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
					 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
					 "<meta name=\"color-scheme\" content=\"light dark\">\n"
					 "<meta http-equiv=\"Content-Security-Policy\" content=\"%s\">\n<title>", POLICY);
	HtmlFitted(html, report->name, HTML_NAME_WIDTH);
	appendStringInfo(html, ", version %d: moemlora report</title>\n<style>\n%s</style>\n</head>\n<body>\n",
					 report->version.number, STYLE);
}

void
ReportPageEnd(Report *report)
{
	appendStringInfoString(report->page.html, "</body>\n</html>\n");
}

void
ReportPartBegin(Report *report, const char *id, const char *heading, ReportSize size)
{
	static const char *const classes[] = {
		[REPORT_HALF] = "",
		[REPORT_TALL] = " class=\"tall\"",
		[REPORT_WIDE] = " class=\"wide\"",
	};

	appendStringInfo(report->page.html, "<section id=\"%s\"%s aria-labelledby=\"%s-h\">\n<h2 id=\"%s-h\">%s</h2>\n",
					 id, classes[size], id, id, heading);
}

void
ReportPartEnd(Report *report)
{
	appendStringInfoString(report->page.html, "</section>\n");
}

void
ReportFigureBegin(Report *report)
{
	appendStringInfoString(report->page.html, "<figure>\n");
}

void
ReportFigureEnd(Report *report)
{
	appendStringInfoString(report->page.html, "</figure>\n");
}

void
ReportNumbersBegin(Report *report)
{
	appendStringInfoString(report->page.html, "<details><summary>The numbers</summary>\n");
}

void
ReportNumbersEnd(Report *report)
{
	appendStringInfoString(report->page.html, "</details>\n");
}

void
ReportLeftOut(Report *report, const char *which, int n_shown, int64 n_all)
{
	if (n_all > n_shown)
		appendStringInfo(report->page.html, "<p class=\"soft\">%s: %s of %s; %s are left out.</p>\n", which,
						 HumanCount(n_shown), HumanCount(n_all), HumanCount(n_all - n_shown));
}
