<?php
// A merchant's program made by nusoap from the description, as the manual of system 003 has it. The library is older than
// PHP 8: constructors bear their classes' names, which this PHP takes for ordinary functions, so a copy is put right.
//
//     php nusoap.php ADDRESS FOLDER QUERY...
//
// A query is a form of fields. Its result is a line; with `malformed` it is what the fault says.
[, $at, $folder] = $argv;
error_reporting(E_ALL & ~E_DEPRECATED);
$library = file_get_contents('/usr/share/php/nusoap/nusoap.php');
preg_match_all('/^class (\w+)/m', $library, $classes);
foreach ($classes[1] as $class) {
    $library = preg_replace(["/function $class\s*\(/", "/parent::$class\s*\(/"], ['function __construct(', 'parent::__construct('], $library);
}
$library = str_replace("require_once('class.wsdlcache.php')", "require_once('/usr/share/php/nusoap/class.wsdlcache.php')", $library);
file_put_contents("$folder/nusoap.php", $library);
require "$folder/nusoap.php";

$client = new nusoap_client("$at?WSDL", true);
if ($client->getError()) {
    exit('not made: ' . $client->getError());
}
// The description names where the world finds the service; here it is somewhere else.
$client->setEndpoint($at);
$client->forceEndpoint = $at;
$client->soap_defencoding = 'UTF-8';
$client->decode_utf8 = false;
foreach (array_slice($argv, 3) as $query) {
    if ($query === 'malformed') {
        $broken = new nusoap_client($at);
        $broken->operation = 'GetPayments';
        $said = $broken->send('<soap:Envelope><soap:Body>', 'http://tempuri.org/GetPayments');
        echo "fault: ", json_encode($said), ' ', $broken->getError(), "\n";
        continue;
    }
    parse_str($query, $asked);
    $said = $client->call('GetPayments', $asked + ['Username' => 'u', 'Password' => 'p', 'CodeName' => '123', 'IsAll' => false]);
    echo $client->fault || $client->getError() ? 'error: ' . $client->getError() : $said['GetPaymentsResult'], "\n";
}
