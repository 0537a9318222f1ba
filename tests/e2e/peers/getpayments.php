<?php
// A merchant's program made by PHP's SoapClient from the description: what was paid, by SOAP 1.1 and 1.2.
[, $at, $factor, $session] = $argv;
$names = ["Username", "Password", "CodeName", "IsAll", "DateFrom", "DateTo", "SessionID", "PriceFrom", "PriceTo", "Mobile",
    "RefKey", "iNotiFactorID", "YourFactorID", "RRN", "NullResult"];
$asked = ["Username" => "u", "Password" => "p", "CodeName" => "123", "IsAll" => false, "YourFactorID" => $factor,
    "SessionID" => $session, "NullResult" => "none"] + array_fill_keys($names, "");
foreach ([SOAP_1_1, SOAP_1_2] as $version) {
    // The description names where the world finds the service; here it is somewhere else.
    $client = new SoapClient("$at?WSDL", ["cache_wsdl" => WSDL_CACHE_NONE, "soap_version" => $version, "location" => $at]);
    echo $client->GetPayments($asked)->GetPaymentsResult, "\n";
}
$asked["YourFactorID"] = $factor . "0";
echo $client->GetPayments($asked)->GetPaymentsResult, "\n";
