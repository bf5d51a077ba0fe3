#include <config.h>

#include "pki/idna.h"

#include <string.h>

#include "base/err.h"
#include "base/name.h"
#include "tap.h"

static const struct {
	const char *text, *value;
	bool wildcard;
} good[] = {
    {"www.example.com", "www.example.com", false},
    {"WWW.Example.COM.", "www.example.com", false},
    {"192.0.2.1", "192.0.2.1", false},
    {"*.example.com", "*.example.com", true},
    {"b\xc3\xbc"
     "cher.example",
        "xn--bcher-kva.example", false},
    {"B\xc3\xbc"
     "CHER.Example",
        "xn--bcher-kva.example", false},
    {"*.b\xc3\xbc"
     "cher.example",
        "*.xn--bcher-kva.example", true},
    {"stra\xc3\x9f"
     "e.example",
        "xn--strae-oqa.example", false},
    {"\xe4\xbe\x8b\xe3\x81\x88.\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88",
        "xn--r8jz45g.xn--zckzah", false},
};

static const struct {
	const char *text, *why, *what;
} bad[] = {
    {"b\xc3(cher.example", "internationalised", "broken UTF-8"},
    {"\xc3\x96"
     "bb.example",
        "if \"\xc3\xb6"
        "bb.example\" is meant",
        "an upper case letter"},
    {"bu\xcc\x88"
     "cher.example",
        "if \"b\xc3\xbc"
        "cher.example\"",
        "a combining diaeresis"},
    {"b\xc3\xbc"
     "cher\xe3\x80\x82"
     "example",
        "cher.example\" is", "an ideographic full stop"},
    {"\xc3\xbc\xe2\x84\x80.example", "not in U-labels",
        "a character that maps to a/c"},
    {"\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1", "if \"127.0.0.1\" is meant",
        "an address in full-width digits"},
    {"\xef\xbc\x8a.example.com", NULL, "a full-width asterisk"},
    {"*.*.\xc3\xbc.example", NULL, "two asterisks"},
    {"\xc3\xbc..example", "empty label", "an empty label"},
    {"\xc3\xbc_.example", "not in U-labels", "an underscore"},
    {"\xc3\xbc/.example", "not in U-labels", "a slash"},
    {"\xc3\xbc.exam ple", NULL, "a blank"},
    {"\xc3\xbc-.example", NULL, "a hyphen at a label's end"},
    {"", NULL, "nothing"},
};

static void
test_good(void)
{
	struct identifier id;
	struct err err = ERR_INIT;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!ok_err(idna_identifier(good[i].text, &id, &err), &err,
		        "%s is taken", good[i].value))
			continue;
		is(id.value, good[i].value, "... as that");
		ok(id.wildcard == good[i].wildcard, "... wildcard or not");
	}
}

static void
test_bad(void)
{
	struct identifier id = {.value = "untouched"};
	struct err err = ERR_INIT;
	char text[1200];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		fails(idna_identifier(bad[i].text, &id, &err), &err, ERR_USAGE,
		    bad[i].why, "%s is refused", bad[i].what);
	memset(text, 'a', sizeof(text));
	memcpy(text, "\xc3\xbc", 2);
	text[sizeof(text) - 1] = '\0';
	fails(idna_identifier(text, &id, &err), &err, ERR_USAGE, "too long",
	    "a text that cannot be a name is not mapped");
	is(id.value, "untouched", "a refusal leaves the identifier alone");
}

int
main(void)
{
	test_good();
	test_bad();
	return done();
}
