<?php
// System 003: the page of a menu. Whoever dials the code chooses a drink and how many, pays by a link, and is served once.
//
//     MERCHANT_USERNAME=... MERCHANT_PASSWORD=... MERCHANT_CODE='*6655*123#' php -S 0.0.0.0:8000 menu.php
//
// The code's page at the switch has to lead to this file, by any web server.
// Nothing signs a visit: let the switch's address alone reach it.
// PHP 7.4 or later with SoapClient (php-soap).

define('SWITCH_URL', getenv('MERCHANT_URL') ?: 'http://127.0.0.1:8080');
// Who may ask what was paid: an owner's name and password ([[ussd_owners]]).
define('USERNAME', getenv('MERCHANT_USERNAME') ?: 'your-name');
define('PASSWORD', getenv('MERCHANT_PASSWORD') ?: 'your-password');
define('CODE', trim(getenv('MERCHANT_CODE') ?: '*6655*123#', '*#'));
// Where orders are kept: a folder that outlives a restart, nobody else's, outside of what the web server shows. In a shop of
// your own: a table whose key is the order.
define('ORDERS', getenv('MERCHANT_ORDERS') ?: '');

const DRINKS = ['1' => ['tea', 50000], '2' => ['coffee', 80000]];

/** A line for whoever looks after the shop. */
function note(string $line): void
{
    file_put_contents('php://stderr', "$line\n");
}

/** Keeps a text under a name, once and whole; whether this was the time. How often it is asked to does not matter. */
function keep(string $name, string $text): bool
{
    if (ORDERS === '') {
        throw new RuntimeException('MERCHANT_ORDERS names no folder for orders');
    }
    is_dir(ORDERS) || @mkdir(ORDERS, 0700, true);
    $lock = fopen(ORDERS . '/lock', 'c');
    if (!$lock || !flock($lock, LOCK_EX)) {
        throw new RuntimeException('cannot write in ' . ORDERS);
    }
    $file = ORDERS . "/$name";
    if (is_file($file)) {
        return false;
    }
    if (file_put_contents("$file.new", $text) !== strlen($text) || !rename("$file.new", $file)) {
        throw new RuntimeException("cannot write $file");
    }
    return true;
}

/** An order as it is kept: who wants it, for how much, what. */
function order(string $factor): ?array
{
    // A session names an order, and that a file.
    $named = preg_match('/^[A-Za-z0-9-]{1,50}$/D', $factor) && is_file(ORDERS . "/$factor.order");
    return $named ? json_decode(file_get_contents(ORDERS . "/$factor.order"), true) : null;
}

/** What is seen. A text: something may be typed; [end] behind it: that was all; 9900|order|rials: a link to pay by. */
function screen(array $inputs, string $session, string $mobile): string
{
    if (!$inputs) {
        return "Tea house\n1-Tea 50,000 rials\n2-Coffee 80,000 rials\n0-Nothing";
    }
    if ($inputs[0] === '0') {
        return 'Good bye[end]';
    }
    if (!isset(DRINKS[$inputs[0]])) {
        return 'We have no such drink[end]';
    }
    [$drink, $price] = DRINKS[$inputs[0]];
    if (count($inputs) === 1) {
        return "How many of $drink, 1 to 9?";
    }
    if (count($inputs) > 2 || !preg_match('/^[1-9]$/D', $inputs[1])) {
        return 'That is no number from 1 to 9[end]';
    }
    // The session names the order: a step that is visited again has the same one paid.
    keep("$session.order", json_encode([$mobile, $inputs[1] * $price, "$inputs[1] $drink"]));
    [, $rials, $what] = order($session);
    note("order $session: $what, $rials rials");
    return "9900|$session|$rials";
}

/** What the switch has of a payment: a list, whose names are made small, for they are spelt in two ways. */
function get_payments(array $fields): array
{
    $every = ['Username', 'Password', 'CodeName', 'IsAll', 'DateFrom', 'DateTo', 'SessionID', 'PriceFrom', 'PriceTo',
        'Mobile', 'RefKey', 'iNotiFactorID', 'YourFactorID', 'RRN', 'NullResult'];
    $asked = $fields + ['Username' => USERNAME, 'Password' => PASSWORD, 'CodeName' => CODE, 'IsAll' => false];
    $service = SWITCH_URL . '/_services/ExternalUssdPay.asmx';
    ini_set('default_socket_timeout', '10');
    $client = new SoapClient("$service?WSDL", ['location' => $service, 'connection_timeout' => 10]);
    $result = $client->GetPayments($asked + array_fill_keys($every, ''))->GetPaymentsResult;
    // Nothing found may be [], null or no text at all; anything else that is no JSON is a refusal.
    $payments = json_decode($result === '' ? '[]' : $result, true);
    if ($payments === null && $result !== 'null') {
        throw new RuntimeException("refused: $result");
    }
    return array_map('array_change_key_case', $payments ?? []);
}

/** Somebody says that an order is paid. 200 is said when it is booked; anything else, and the visit comes again. */
function paid(array $inputs, string $session, string $mobile, string $rrn): array
{
    [$factor, $invoice] = array_slice($inputs, -2);
    [$whose, $rials, $what] = order($factor) ?? ['', 0, ''];
    if ($whose !== $mobile) {
        return [404, "there is no order $factor"];
    }
    if (is_file(ORDERS . "/$factor.paid")) {
        return [200, 'booked before'];
    }
    // A visit proves nothing: what counts is what the switch says when asked.
    $payments = get_payments(['SessionID' => $session, 'Mobile' => $mobile, 'YourFactorID' => $factor,
        'iNotiFactorID' => $invoice, 'RRN' => $rrn, 'PriceFrom' => $rials, 'PriceTo' => $rials]);
    foreach ($payments as $one) {
        if (strcasecmp($one['result'], 'true') || $one['price'] != $rials
            || (string) $one['yourfactorid'] !== $factor || (string) $one['inotifactorid'] !== $invoice) {
            continue;
        }
        // Of visits that come at the same time one books.
        if (!keep("$factor.paid", "$invoice $rrn\n")) {
            return [200, 'booked before'];
        }
        note("paid: order $factor, RRN $rrn: make $what");
        return [200, 'booked'];
    }
    return [403, "order $factor is not paid"];
}

/** One visit; the status and the text. */
function visited(array $query): array
{
    $asked = array_filter(array_change_key_case($query), 'is_string');
    // With a star before the code or without, as the switch is set.
    $call = trim($asked['call'] ?? '', '*');
    [$session, $mobile] = [$asked['sessionid'] ?? '', $asked['mobile'] ?? ''];
    $ours = strncmp("$call*", CODE . '*', strlen(CODE) + 1) === 0;
    if (!$ours || !preg_match('/^[A-Za-z0-9-]{1,50}$/D', $session) || $mobile === '') {
        return [400, 'this is the page of a menu'];
    }
    $inputs = array_slice(explode('*', $call), substr_count(CODE, '*') + 1);
    if (!isset($asked['rrn'])) {
        return [200, screen($inputs, $session, $mobile)];
    }
    if (count($inputs) < 2) {
        return [400, 'which order?'];
    }
    try {
        return paid($inputs, $session, $mobile, $asked['rrn']);
    } catch (SoapFault | RuntimeException $error) {
        return [503, 'not asked whether it is paid: ' . $error->getMessage()];
    }
}

[$status, $text] = visited($_GET);
if ($status !== 200) {
    note($text);
}
http_response_code($status);
header('Content-Type: text/plain; charset=utf-8');
echo $text;
