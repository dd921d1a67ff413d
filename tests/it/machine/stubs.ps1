# Windows commands for the scripts under test. C:\state stores the state of the
# machine, so that the next script sees a change.
function Read-State { param($Name) Get-Content -LiteralPath "C:\state\$Name.json" -Raw -Encoding utf8 | ConvertFrom-Json }
function Write-State { param($Name, $Value) Set-Content -Encoding utf8 -LiteralPath "C:\state\$Name.json" -Value (ConvertTo-Json -InputObject $Value -Depth 5) }

function Get-MpPreference { Read-State 'preferences' }
function Get-MpComputerStatus { Read-State 'status' }
function Set-MpPreference {
    $preferences = Read-State 'preferences'
    for ($i = 0; $i -lt $args.Count; $i += 2) {
        $name = ([string] $args[$i]).Trim('-', ':')
        $preferences | Add-Member -NotePropertyName $name -NotePropertyValue $args[$i + 1] -Force
    }
    Write-State 'preferences' $preferences
}
function Add-MpPreference {
    param([string[]] $ExclusionPath)
    $preferences = Read-State 'preferences'
    $preferences.ExclusionPath = @(@($preferences.ExclusionPath) + $ExclusionPath | Where-Object { $_ })
    Write-State 'preferences' $preferences
}
function Get-CimInstance {
    param($ClassName, $Filter)
    $system = Read-State 'system'
    switch ($ClassName) {
        'Win32_OperatingSystem' {
            $os = $system.os
            $os.LastBootUpTime = [datetime] $os.LastBootUpTime
            $os
        }
        'Win32_Service' { $system.services }
        'Win32_LogicalDisk' { [pscustomobject] @{ DeviceID = 'C:' } }
        default { throw "Invalid class $ClassName" }
    }
}
function Get-Service {
    param($Name)
    $services = @((Read-State 'system').services | ForEach-Object { [pscustomobject] @{ Name = $_.Name; Status = $_.State } })
    if ($Name) { $services | Where-Object { $_.Name -eq $Name } } else { $services }
}
function Get-WinEvent {
    param($LogName, $FilterXPath, $MaxEvents)
    $events = (Read-State 'system').events
    $at = if ($FilterXPath -like '*WDATPOnboarding*') { $events.onboarding } else { $events.rename }
    if (-not $at) {
        Write-Error 'No events were found that match the specified selection criteria.' -ErrorId 'NoMatchingEventsFound'
        return
    }
    [pscustomobject] @{ TimeCreated = [datetime] $at }
}
function icacls.exe { Add-Content -LiteralPath 'C:\state\icacls.txt' -Value ($args -join ' '); $global:LASTEXITCODE = 0 }
function Get-ExecutionPolicy { param([switch] $List) [pscustomobject] @{ Scope = 'MachinePolicy'; ExecutionPolicy = 'Undefined' } }
function Get-ScheduledTaskInfo {
    param($TaskPath, $TaskName)
    $task = (Read-State 'system').task
    [pscustomobject] @{ LastRunTime = [datetime] $task.LastRunTime; LastTaskResult = $task.LastTaskResult }
}
function Get-ScheduledTask { if (Test-Path -LiteralPath 'C:\state\tasks.json') { foreach ($task in (Read-State 'tasks')) { $task } } }
function New-ScheduledTaskAction { param($Execute, $Argument) [pscustomobject] @{ Execute = $Execute; Arguments = $Argument } }
function New-ScheduledTaskTrigger { param([switch] $Daily, $At) [pscustomobject] @{ At = [string] $At } }
function New-ScheduledTaskPrincipal { param($UserId, $LogonType, $RunLevel) [pscustomobject] @{ UserId = $UserId } }
function Register-ScheduledTask {
    param($TaskName, $Action, $Trigger, $Principal, [switch] $Force)
    Write-State 'tasks' ([pscustomobject] @{ TaskName = $TaskName; Actions = @($Action); Triggers = @($Trigger); Principal = $Principal })
}
